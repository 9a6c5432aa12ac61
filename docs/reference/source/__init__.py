"""Writes the reference pages from the code: `python -m docs.reference.source FOLDER`."""
