"""Ports for what tests start."""

import random
import socket

_PORTS = range(20000, 32000)
"""Below those that the kernel gives to connections: a server that takes seconds to start still finds its own free."""


def free_ports(number: int) -> list[int]:
    """Returns so many ports that nobody listens on right now."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == number:
            break
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def free_port() -> int:
    """Returns a port that nobody listens on right now."""
    return free_ports(1)[0]
