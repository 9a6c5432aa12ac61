"""Volumes for claims: folders of the node, made beforehand, and made anew for the next claim."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable

from tests.cluster.namespaces import NODE_NAME
from tests.cluster.node import Node
from tests.cluster.templates import render

_VOLUMES = tuple(f"local-{number}" for number in range(12))


def provide(node: Node) -> None:
    """Makes the default StorageClass and the volumes in it."""
    _apply(node, [render("manifests/storage.yaml", {})])
    _make(node, _VOLUMES)


def renew(node: Node) -> None:
    """Empties the volumes whose claims are gone, so that others can have them."""
    volumes = json.loads(node.kubectl("get", "persistentvolumes", "--output=json"))["items"]
    released = [v["metadata"]["name"] for v in volumes if v["status"]["phase"] == "Released"]
    if released:
        node.kubectl("delete", "persistentvolume", *released)
        _make(node, released)


def _make(node: Node, names: Iterable[str]) -> None:
    manifests = []
    for name in names:
        folder = node.run / "volumes" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        values = {"name": name, "folder": folder, "node": NODE_NAME}
        manifests.append(render("manifests/volume.yaml", values))
    _apply(node, manifests)


def _apply(node: Node, manifests: list[str]) -> None:
    node.kubectl("apply", "--server-side", "--filename=-", stdin="---\n".join(manifests))
