"""An environment for each peer, with pinned versions."""

import re
from pathlib import Path

from tests import environments
from tests.environments import NotAvailable

__all__ = ["PEERS", "NotAvailable", "environment", "version"]

PEERS = Path(__file__).parent / "peers"


def environment(folder: Path, oldest_python: str) -> Path:
    """Returns the Python of an environment that has what the folder's `requirements.txt` pins.

    Raises:
        NotAvailable: there is no Python for it, or something can't be installed.
    """
    into = environments.cache_folder() / "bench" / folder.name
    python = environments.interpreter(oldest_python)
    return environments.environment(into, folder / "requirements.txt", python=python)


def version(folder: Path, package: str) -> str:
    """Returns the version that a folder's `requirements.txt` pins."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", (folder / "requirements.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""
