"""The folders of a user in which `up` keeps what outlives it, and how it writes what others read."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where the imported bundles are, which can be made anew."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "policyserver"


def state_folder() -> Path:
    """Where the routers keep what they learn."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "policyserver"


def replace(path: Path, text: str) -> None:
    """Writes in one step, so that a reader finds the old text or the new one; makes the folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"..{path.name}")  # two dots: neither a key nor a configuration
    fresh.write_text(text)
    fresh.replace(path)
