"""The Gateway API: its definitions, which Kubernetes itself does not bring."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cluster import build, layout
from tests.cluster.versions import GATEWAY_API


def definitions() -> Path:
    """The folder of the CustomResourceDefinitions; a copy, as Go's module cache gets cleaned."""
    folder = layout.cache() / "gateway-api" / GATEWAY_API.rsplit("@", 1)[1]
    if not folder.exists():
        draft = folder.with_suffix(".tmp")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(build.download(GATEWAY_API) / "config" / "crd" / "standard", draft)
        draft.rename(folder)
    return folder
