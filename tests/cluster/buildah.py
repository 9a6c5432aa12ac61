"""buildah, with a store of its own below the cache: the machine's images are left alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.cluster import deps, layout, processes
from tests.cluster.errors import ClusterError
from tests.cluster.versions import FOR_IMAGES

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

# How this machine reaches its package index; all else of its pip configuration stays here.
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "timeout", "retries", "proxy")


def buildah(*arguments: str | Path) -> str:
    """What buildah answered; its own words as an error when it failed."""
    settings = _settings()
    done = subprocess.run(
        ["buildah", *(str(argument) for argument in arguments)],
        env=os.environ
        | {
            "CONTAINERS_STORAGE_CONF": str(settings / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(settings / "registries.conf"),
            "BUILDAH_ISOLATION": "chroot",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        complaint = (done.stdout + done.stderr).strip()[-3000:]
        raise ClusterError(f"buildah {arguments[0]} failed: {complaint}")
    return done.stdout


def image_id(tag: str) -> str | None:
    """The digest of an image's content; None when there is no such image."""
    found = json.loads(buildah("images", "--json"))
    return next((image["id"] for image in found if tag in (image["names"] or [])), None)


def size(tag: str) -> str:
    """What an image takes on disk with all its layers, as people read it."""
    return buildah("images", "--format", "{{.Size}}", tag).strip()


def build(tag: str, context: Path, *options: str | Path) -> None:
    """Builds a Dockerfile. Nothing is pulled; `RUN pip install` works as it does on this machine.

    The CA bundle, pip's configuration and its cache are shown to `RUN`, and don't become part of
    the image.
    """
    settings = _settings()
    shown = {
        settings / "pip.conf": "/etc/pip.conf:ro",
        layout.folder("pip"): "/var/cache/pip",
    }
    if CA_BUNDLE.exists():
        shown[CA_BUNDLE] = f"{CA_BUNDLE}:ro"
    buildah(
        "build", "--quiet", "--pull=never", "--layers", "--network=host", "--isolation=chroot",
        f"--signature-policy={settings / 'policy.json'}",
        *(f"--volume={here}:{there}" for here, there in shown.items()),
        f"--tag={tag}", *options, context,
    )  # fmt: skip


def export(tag: str, archive: Path) -> None:
    """Writes an image to a file, uncompressed: it only moves to the next program."""
    archive.unlink(missing_ok=True)
    policy = _settings() / "policy.json"
    buildah(
        "push", "--quiet", f"--signature-policy={policy}",
        tag, f"docker-archive:{archive}:{tag}",  # an oci-archive would be compressed whatever one says
    )  # fmt: skip


def _settings() -> Path:
    folder = layout.folder("buildah")
    if not (folder / "storage.conf").exists():
        deps.require_root()
        deps.ensure(FOR_IMAGES)
        (folder / "pip.conf").write_text(_pip_configuration())
        (folder / "registries.conf").write_text('unqualified-search-registries = ["docker.io"]\n')
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
        # Without skip_mount_home a bind mount of the store would stay on the machine.
        (folder / "storage.conf").write_text(
            "[storage]\n"
            'driver = "overlay"\n'
            f'graphroot = "{folder}/graph"\n'
            f'runroot = "{folder}/run"\n'
            "[storage.options.overlay]\n"
            'skip_mount_home = "true"\n'
        )
    return folder


def _pip_configuration() -> str:
    lines = ["[global]", "cache-dir = /var/cache/pip", "disable-pip-version-check = true"]
    if CA_BUNDLE.exists():
        lines.append(f"cert = {CA_BUNDLE}")
    for line in processes.run("python3", "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        setting = name.rsplit(".", 1)[-1]
        if setting in _PIP_SETTINGS:
            lines.append(f"{setting} = {value.strip(chr(39))}")
    return "\n".join(lines) + "\n"
