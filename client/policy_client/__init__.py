"""Plays episodes against served policies."""
