"""Tests, from the fastest to the ones that start a whole cluster."""
