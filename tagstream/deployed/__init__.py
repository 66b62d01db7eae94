"""What is deployed, used from a machine of one's own."""
