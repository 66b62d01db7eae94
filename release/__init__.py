"""What is published: ``make dist`` builds it, and ``release/model`` is the package of a model that is ready."""
