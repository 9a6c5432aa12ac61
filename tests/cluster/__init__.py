"""A real Kubernetes for the tests, built from source and run without Docker or a registry."""
