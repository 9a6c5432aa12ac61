"""Puts the operator into a cluster, as manifests/install says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from tests.cluster import images
from tests.cluster.images import REPOSITORY
from tests.e2e.kubectl import KubectlFailed, Object
from tests.e2e.target import Target

NAMESPACE = "policyserver-system"
OPERATOR = "policyserver-operator"
INSTALL = REPOSITORY / "manifests" / "install" / "cluster.yaml"
MONITORS = Path(__file__).parent / "servicemonitors.yaml"
CRDS = REPOSITORY / "crds"

_DOCKERFILES = {"operator": ("Dockerfile.operator", "operator"), "server": ("Dockerfile.server", "server")}
_DOCKERFILES["server-ray"] = ("Dockerfile.server", "ray")
_DOCKERFILES["sdk-generator"] = ("Dockerfile.server", "sdk-generator")
_DOCKERFILES["importer-tensorflow"] = ("Dockerfile.server", "importer-tensorflow")
_DOCKERFILES["store"] = ("tests/e2e/store/Dockerfile", "store")


def build_images(target: Target, version: str) -> None:
    """Builds the images; those of which nothing changed take seconds."""
    for part in target.images:
        dockerfile, stage = _DOCKERFILES[part]
        arguments = {"VERSION": version}
        images.build_image(REPOSITORY / dockerfile, target.images[part], target=stage, build_args=arguments)


def load_images(target: Target) -> None:
    """Hands our images to the cluster of this machine; one is written while another is read."""
    if target.cluster is None:
        return
    with ThreadPoolExecutor() as pool:
        for loaded in [pool.submit(target.cluster.load, tag) for tag in target.images.values()]:
            loaded.result()


def install(target: Target) -> None:
    """Installs the kinds and the operator, and waits until it is Ready; what is there already is updated."""
    kubectl = target.kubectl
    if target.cluster is not None:  # elsewhere, whoever administers the cluster decides about this kind
        kubectl("apply", "--server-side", "--force-conflicts", f"--filename={MONITORS}")
    kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRDS}")
    kubectl("wait", "--for=condition=Established", "--timeout=60s", f"--filename={CRDS}")
    documents: list[Object] = list(yaml.safe_load_all(target.with_images(INSTALL.read_text())))
    for document in documents:
        if document["kind"] == "Deployment":
            _mark(document, target)
            _allow_private_addresses(document)
    manifest = yaml.safe_dump_all(documents)
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=manifest)
    wait_until_ready(target)


def wait_until_ready(target: Target) -> None:
    """Waits for all of the operator's pods; says what it printed when they don't come."""
    try:
        deployment = (f"deployment/{OPERATOR}", f"--namespace={NAMESPACE}")
        target.kubectl("rollout", "status", *deployment, "--timeout=180s")
    except KubectlFailed as failed:
        logs = target.kubectl("logs", f"deployment/{OPERATOR}", f"--namespace={NAMESPACE}", "--tail=20")
        raise KubectlFailed(f"{failed}\nThe operator said:\n{logs}") from None


def _mark(deployment: Object, target: Target) -> None:
    """Has pods replaced when an image changed behind its name, which Kubernetes can't know."""
    if target.cluster is not None:
        built = {f"tests/{part}": images.require_id(target.images[part]) for part in ("operator",)}
        deployment["spec"]["template"]["metadata"].setdefault("annotations", {}).update(built)


def _allow_private_addresses(deployment: Object) -> None:
    """Lets models come from the file server in the cluster; whether others are refused is tested without a cluster."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (variable,) = [one for one in container["env"] if one["name"] == "POLICYSERVER_ALLOW_PRIVATE_MODEL_ADDRESSES"]
    variable["value"] = "true"
