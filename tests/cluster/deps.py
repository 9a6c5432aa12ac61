"""What the cluster needs of the machine: Go, and a few Debian packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import versions
from tests.cluster.errors import ClusterError, Unsupported
from tests.cluster.progress import say

INSTEAD = "not needed when KUBECONFIG names a cluster of yours (kind, k3d)"


def require_root() -> None:
    """Refuses to go on without root: namespaces, mounts and cgroups are made directly."""
    if os.geteuid() != 0:
        raise Unsupported(f"the node needs root: run this with sudo; {INSTEAD}")


def require_go() -> None:
    """Refuses to go on without a Go that is new enough for Kubernetes."""
    wanted = "Go >= " + ".".join(map(str, versions.GO))
    go = shutil.which("go")
    if go is None:
        raise Unsupported(f"{wanted} is needed to build the cluster: install it; {INSTEAD}")
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True)
    found = re.match(r"go(\d+)\.(\d+)", said.stdout)
    if found is None or (int(found[1]), int(found[2])) < versions.GO:
        raise Unsupported(f"{wanted} is needed, {said.stdout.strip()} is here; {INSTEAD}")


def ensure(packages: Mapping[str, str] = versions.DEBIAN_PACKAGES, instead: str = INSTEAD) -> None:
    """Installs the Debian packages that are missing; does nothing when none is.

    `instead` is what else helps, for those who can't install them.
    """
    absent = [name for name, file in packages.items() if not Path(file).exists()]
    if not absent:
        return
    names = " ".join(absent)
    if shutil.which("apt-get") is None:
        raise Unsupported(f"needed here: {names}, or what your distribution calls them; {instead}")
    if os.geteuid() != 0:
        raise Unsupported(f"run as root: apt-get install {names}; {instead}")
    started = time.monotonic()
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *absent]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"apt-get {command[0]} failed: {done.stderr.strip()}")
    say(f"installed {names}", started)
