"""Builds the cluster's programs from Go modules.

There is no image registry and no download page here, only the Go module proxy: each module is
fetched by a small `go.mod` of its own, checked against Go's checksum database and compiled. What
is built already is not built again, until its entry in `versions.py` changes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster import deps, layout
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say
from tests.cluster.versions import CNI_PLUGINS, FOR_C, KUBERNETES, MODULES, Module


def ensure(binaries: Iterable[str]) -> Path:
    """Builds what is missing of the named programs, and returns the folder they are in."""
    wanted = set(binaries)
    if missing := _missing(wanted):
        deps.require_go()
        if any(module.cgo for module in missing):
            deps.ensure(FOR_C)
        with layout.lock("build"):
            _build(_missing(wanted))
    return layout.folder("bin")


def installed(binary: str) -> Path:
    """Where a program is, or will be. CNI plugins get a folder of their own: all in it is one."""
    return layout.folder("bin/cni" if binary in CNI_PLUGINS else "bin") / binary


def _missing(binaries: set[str]) -> dict[Module, list[str]]:
    missing = {}
    for module in MODULES:
        absent = [b for b in module.binaries if b in binaries and not _current(module, b)]
        if absent:
            missing[module] = absent
    return missing


def _current(module: Module, binary: str) -> bool:
    """`bin/NAME` links into a folder named by the digest: an older link means an older recipe."""
    link = installed(binary)
    return link.exists() and link.resolve() == (_workspace(module) / "bin" / binary).resolve()


def _workspace(module: Module) -> Path:
    return layout.cache() / "src" / f"{module.name}-{module.digest}"


def _build(missing: dict[Module, list[str]]) -> None:
    # Fetching waits for the network while compiling waits for the processor, so a thread fetches
    # ahead.
    fetching = ThreadPoolExecutor(max_workers=1)
    fetched = {module: fetching.submit(_fetch, module) for module in missing}
    try:
        for module, absent in missing.items():
            fetched[module].result()
            _compile(module, absent)
    finally:
        fetching.shutdown(cancel_futures=True)


def _fetch(module: Module) -> None:
    workspace = _workspace(module)
    if (workspace / "fetched").exists():
        return
    started = time.monotonic()
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    for file in module.source.glob("main.go"):
        shutil.copy(file, workspace)
    _go(module, "mod", "init", f"local/{module.name}")
    replace = [*module.replace, *_staging(module), *_stubbed(module)]
    if replace:
        _go(module, "mod", "edit", *(f"-replace={line}" for line in replace))
    if module.path:
        _go(module, "get", *_requirements(module))
    (workspace / "fetched").touch()
    say(f"{module.name} {module.version}: sources fetched", started)


def _requirements(module: Module) -> list[str]:
    if (module.source / "main.go").exists():
        return [f"{module.path}@{module.version}", "."]
    return ["-tool", *(f"{package}@{module.version}" for package in module.binaries.values())]


def _staging(module: Module) -> list[str]:
    """Kubernetes publishes the libraries it is made of under a version of their own."""
    if module.name != "kubernetes":
        return []
    manifest = (download(f"{module.path}@{module.version}") / "go.mod").read_text()
    staged = sorted(set(re.findall(r"(k8s\.io/[a-z0-9-]+) => \./staging", manifest)))
    version = "v0." + KUBERNETES.removeprefix("1.")
    return [f"{library}={library}@{version}" for library in staged]


def _stubbed(module: Module) -> list[str]:
    if module.stub is None:
        return []
    dependency, file = module.stub
    copy = _workspace(module) / "stubbed"
    original = download(dependency)
    shutil.copytree(original, copy, copy_function=shutil.copyfile)
    for folder in (copy, *copy.glob("**/")):
        folder.chmod(0o755)  # the module cache is read-only, and so is its copy
    shutil.copyfile(module.source / Path(file).name, copy / file)
    return [f"{dependency.split('@')[0]}=./stubbed"]


def download(dependency: str) -> Path:
    """The folder with the sources of a `module@version`, in Go's module cache: only to be read."""
    folder = layout.folder("src")
    answer = _run_go("downloads", folder, "mod", "download", "-json", dependency)
    return Path(json.loads(answer)["Dir"])


def _compile(module: Module, binaries: list[str]) -> None:
    """One `go build` for all of a module's programs: they share nearly all of their packages."""
    started = time.monotonic()
    workspace = _workspace(module)
    built, finished = workspace / "building", workspace / "bin"
    shutil.rmtree(built, ignore_errors=True)
    built.mkdir()
    finished.mkdir(exist_ok=True)
    flags = ["-trimpath", "-ldflags", f"-s -w {module.ldflags}", "-tags", module.tags]
    if len(module.programs) == 1:
        packages = ["-o", str(built / binaries[0]), _main_package(module, binaries[0])]
    else:
        packages = ["-o", f"{built}/", *(_main_package(module, b) for b in binaries)]
    _go(module, "build", *flags, *packages)
    for binary in binaries:
        (built / binary).replace(finished / binary)
        link = installed(binary)
        link.unlink(missing_ok=True)
        link.symlink_to(finished / binary)
    for older in workspace.parent.glob(f"{module.name}-*"):
        if older != workspace and re.fullmatch(r"[0-9a-f]{12}", older.name.rsplit("-", 1)[1]):
            shutil.rmtree(older)
    say(f"{module.name} {module.version}: built {' '.join(binaries)}", started)


def _main_package(module: Module, binary: str) -> str:
    return "." if (module.source / "main.go").exists() else module.binaries[binary]


def _go(module: Module, *arguments: str) -> None:
    _run_go(module.name, _workspace(module), *arguments, cgo=module.cgo)


def _run_go(log_name: str, folder: Path, *arguments: str, cgo: bool = False) -> str:
    environment = os.environ | {
        "CGO_ENABLED": "1" if cgo else "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    log = layout.folder("logs") / f"build-{log_name}.log"
    with log.open("a") as errors:
        errors.write(f"$ go {' '.join(arguments)}\n")
        errors.flush()
        done = subprocess.run(
            ["go", *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
    if done.returncode:
        last = log.read_text().splitlines()[-15:]
        raise ClusterError("\n".join([f"go {arguments[0]} failed, see {log}:", *last]))
    return done.stdout
