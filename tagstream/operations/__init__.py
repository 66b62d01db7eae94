"""What whoever is on call does with a deployed stage: dead letters, its state, faults, pauses."""
