"""What can go wrong with the cluster, said in a way that needs no traceback."""

from __future__ import annotations


class ClusterError(Exception):
    """Something failed; the message is for the person at the terminal."""


class Unsupported(ClusterError):
    """This machine can't do it, whatever is tried: exit code 2, and tests skip."""
