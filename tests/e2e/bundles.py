"""Policies for the cluster: zipped bundles whose answers tell them apart."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle


def zipped(folder: Path) -> bytes:
    """A folder as a zip, with its files at the root."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return memory.getvalue()


def preferring(action: int, folder: Path, actions: int = 2) -> bytes:
    """A policy of three observations that takes one action and hardly ever another."""
    bias = np.zeros(actions)
    bias[action] = 20.0
    return zipped(write_linear_bundle(folder, Categorical(size=actions), weights=np.zeros((3, actions)), bias=bias))


def particular(folder: Path, size: int = 3) -> bytes:
    """A policy whose distribution depends on which observation comes first."""
    return zipped(write_linear_bundle(folder, Categorical(size=4), size=size))
