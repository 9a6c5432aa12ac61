"""The cluster that is tested: one of this machine's own, or whatever KUBECONFIG names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.errors import Unsupported
from tests.e2e.kubectl import Kubectl

# The images with PyTorch and RLlib are too large for here, 5 GB and more: what they do is tested without a cluster.
PARTS = ("operator", "server", "server-ray", "sdk-generator", "importer-tensorflow")


@dataclass(frozen=True)
class Target:
    """A cluster, the images that run in it, and where its ingress controller is reached."""

    kubectl: Kubectl
    images: dict[str, str]
    """The full name of each image, by the last part of the name that the manifests know it by."""
    ingress_url: str
    """Of the ingress controller, as this machine reaches it."""
    cluster: Cluster | None
    """The cluster of this machine, unless it is somebody else's."""

    def with_images(self, manifest: str) -> str:
        """The manifest with these images in the place of the released ones."""
        for part, image in self.images.items():
            manifest = manifest.replace(f"policyserver/{part}:latest", image)
        if "store" in self.images:
            manifest = manifest.replace("valkey/valkey:8", self.images["store"])
        return manifest.replace("policyserver/importer-{framework}:latest", self.images["importer-tensorflow"])


def find_target() -> Target:
    """The cluster that the environment asks for; whether it is up is another question."""
    own = Cluster()
    version = os.environ.get("VERSION", "dev")
    images = {part: os.environ.get(_variable(part), f"docker.io/policyserver/{part}:{version}") for part in PARTS}
    named = os.environ.get("KUBECONFIG")
    if not named or Path(named).absolute() == own.kubeconfig:
        # Valkey's image can't be pulled there; see store/Dockerfile.
        images["store"] = f"docker.io/policyserver/store:{version}"
        return Target(Kubectl(str(own.programs / "kubectl"), own.kubeconfig), images, own.ingress_url, own)
    ingress = os.environ.get("POLICYSERVER_E2E_INGRESS_URL")
    if ingress is None:
        raise Unsupported(
            "KUBECONFIG names a cluster of yours: say where its ingress controller answers, "
            "POLICYSERVER_E2E_INGRESS_URL=http://localhost:8080"
        )
    return Target(Kubectl("kubectl", Path(named)), images, ingress.rstrip("/"), None)


def _variable(part: str) -> str:
    return f"POLICYSERVER_E2E_{part.upper().replace('-', '_')}_IMAGE"
