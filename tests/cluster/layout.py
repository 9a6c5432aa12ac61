"""Where everything lives: one folder for all that is built, another for all that runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache() -> Path:
    """The folder below which everything is built and runs."""
    chosen = os.environ.get("POLICYSERVER_CLUSTER_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "policyserver" / "cluster"


def folder(name: str) -> Path:
    """A folder of the cache, made when it is missing."""
    path = cache() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def assets() -> Path | None:
    """A folder that already holds etcd, kube-apiserver and their like, when one is named."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named).absolute() if named else None


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Lets one process at a time into the block; others wait. Freed even by a crash."""
    with (folder("locks") / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
