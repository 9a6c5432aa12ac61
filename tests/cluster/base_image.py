"""The base image of ordinary Dockerfiles: Debian with Python, from apt's own mirror."""

from __future__ import annotations

import shutil
import time

from tests.cluster import buildah, layout
from tests.cluster.processes import run
from tests.cluster.progress import say
from tests.cluster.versions import DEBIAN, PYTHON

NAME = f"docker.io/library/python:{PYTHON}-slim"

_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
_LEAVE_OUT = (
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/locale/*",
    # In the official image, too, `pip install` needs no virtual environment.
    "usr/lib/python3*/EXTERNALLY-MANAGED",
)
_DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
"""


def ensure() -> None:
    """Makes the base image, unless it is there."""
    if buildah.image_id(NAME) is not None:
        return
    started = time.monotonic()
    folder = layout.folder("base-image")
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    options = ["--variant=minbase", f"--include={_PACKAGES}"]
    run("debootstrap", *options, DEBIAN, root, *_mirror())
    (root / "usr/bin/python").symlink_to("python3")
    for pattern in _LEAVE_OUT:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    run(
        "tar",
        "--directory",
        root,
        "--numeric-owner",
        "--create",
        "--file",
        folder / "root.tar",
        ".",
    )
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    buildah.build(NAME, folder)
    shutil.rmtree(folder)
    say(f"made the base image {NAME}", started)


def _mirror() -> list[str]:
    """The mirror that apt itself uses here, if it has this release; else debootstrap's default."""
    wanted = ("indextargets", "--format", "$(REPO_URI) $(CODENAME) $(LABEL)")
    for line in run("apt-get", *wanted).splitlines():
        address, codename, label = line.split(maxsplit=2)
        if codename == DEBIAN and label == "Debian":
            return [address]
    return []
