"""Serves reinforcement-learning policies over HTTP; knows nothing of Kubernetes."""
