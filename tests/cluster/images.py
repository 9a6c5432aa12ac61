"""The images that run in the cluster: the system's own, and those the tests build.

There is no registry: an image is built, exported to a file once for each change of its content,
and imported by the node from that file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import base_image, build, buildah, deps, layout
from tests.cluster.progress import say

REPOSITORY = Path(__file__).parents[2]

_SYSTEM = ("pause", "coredns", "traefik")


def system_image(program: str) -> str:
    """The name of the image that holds one of our programs and nothing else."""
    return f"policyserver.local/{program}:cluster"


def ensure_system() -> list[str]:
    """Builds the images of the cluster's own pods, as far as needed; returns their names."""
    build.ensure(_SYSTEM)
    deps.require_root()
    for program in _SYSTEM:
        source = str(build.installed(program).resolve())
        made_of = layout.folder("images") / f"{program}.source"
        if made_of.exists() and made_of.read_text() == source:
            continue
        with layout.lock("images"), _scratch_folder() as context:
            started = time.monotonic()
            (Path(context) / program).hardlink_to(source)
            (Path(context) / "Dockerfile").write_text(
                f'FROM scratch\nCOPY {program} /\nUSER 65532:65532\nENTRYPOINT ["/{program}"]\n'
            )
            buildah.build(system_image(program), Path(context))
            say(f"built image {system_image(program)}", started)
        archive(system_image(program))
        made_of.write_text(source)
    return [system_image(program) for program in _SYSTEM]


def _scratch_folder() -> tempfile.TemporaryDirectory[str]:
    # Beside the programs, so that they are linked rather than copied.
    return tempfile.TemporaryDirectory(dir=layout.folder("images"))


def build_image(
    dockerfile: Path,
    tag: str,
    *,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    context: Path = REPOSITORY,
) -> str:
    """Builds an ordinary Dockerfile and returns the image's id, which changes with its content.

    `tag` is a full name as containerd knows it, such as `docker.io/policyserver/server:test`.
    """
    deps.require_root()
    started = time.monotonic()
    options: list[str | Path] = ["--file", dockerfile]
    if target is not None:
        options.append(f"--target={target}")
    options += [f"--build-arg={name}={value}" for name, value in (build_args or {}).items()]
    with layout.lock("images"):
        base_image.ensure()
        buildah.build(tag, context, *options)
    say(f"built image {tag}", started)
    return require_id(tag)


def require_id(tag: str) -> str:
    """The id of an image that was built."""
    found = buildah.image_id(tag)
    if found is None:
        raise LookupError(f"no image {tag} was built")
    return found


def archive(tag: str) -> Path:
    """The image as a file that containerd imports; written anew only when the image changed."""
    file = layout.folder("images") / (tag.replace("/", "_").replace(":", "_") + ".tar")
    content = file.with_suffix(".id")
    with layout.lock("images"):
        current = require_id(tag)
        if not (file.exists() and content.exists() and content.read_text() == current):
            started = time.monotonic()
            content.unlink(missing_ok=True)
            buildah.export(tag, file)
            content.write_text(current)
            say(f"exported image {tag}", started)
    return file
