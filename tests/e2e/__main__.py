"""What `make images`, `cluster-up`, `demo-cluster` and `e2e` do: `python -m tests.e2e --help`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.cluster import base_image, build, buildah
from tests.cluster.errors import ClusterError, Unsupported
from tests.e2e import demo, installation
from tests.e2e.kubectl import KubectlFailed
from tests.e2e.target import Target, find_target

VERSION = os.environ.get("VERSION", "dev")
TEST_SECONDS = 900
SUITE = ("tests/cluster/test_smoke.py", "tests/e2e")

_times: list[str] = []


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Notes how long something took, even if it fails."""
    started = time.monotonic()
    try:
        yield
    finally:
        _times.append(f"{time.monotonic() - started:7.1f} s  {name}")


def main() -> int:
    """Runs one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    options, rest = parser.parse_known_args()
    try:
        return COMMANDS[options.command](find_target(), rest)
    except Unsupported as error:
        in_ci = os.environ.get("CI") == "true"
        print(f"{'error' if in_ci else 'skipped'}: {error}", file=sys.stderr)
        return 2 if in_ci else 0
    except (ClusterError, KubectlFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if _times:
            print("\n".join(["How long it took:", *_times]), file=sys.stderr)


def _images(target: Target, _: list[str]) -> int:
    with stage("images built"):
        installation.build_images(target, VERSION)
    return 0


def _sizes(target: Target, _: list[str]) -> int:
    for image in (base_image.NAME, *target.images.values()):
        print(f"{image:45} {buildah.size(image):>10}")
    return 0


def _up(target: Target, _: list[str]) -> int:
    if target.cluster is not None:
        with stage("cluster up"):
            target.cluster.up()
        with stage("images built"):
            installation.build_images(target, VERSION)
        with stage("images handed to the cluster"):
            installation.load_images(target)
    with stage("operator installed and ready"):
        installation.install(target)
    return 0


def _down(target: Target, _: list[str]) -> int:
    if target.cluster is None:
        raise ClusterError("KUBECONFIG names a cluster of yours, which is yours to take down")
    target.cluster.down()
    return 0


def _demo(target: Target, rest: list[str]) -> int:
    _up(target, rest)
    with stage("example ready and asked"):
        demo.show(target)
    return 0


def _test(target: Target, rest: list[str]) -> int:
    _up(target, [])
    if target.cluster is not None:
        build.ensure(("helm",))
    with stage("tests"):
        suite = SUITE if target.cluster is not None else SUITE[1:]
        command = [sys.executable, "-m", "pytest", f"--timeout={TEST_SECONDS}", "--durations=10", *suite, *rest]
        return subprocess.run(command, check=False).returncode


COMMANDS: dict[str, Callable[[Target, list[str]], int]] = {
    "images": _images,
    "image-sizes": _sizes,
    "up": _up,
    "down": _down,
    "demo": _demo,
    "test": _test,
}

if __name__ == "__main__":
    sys.exit(main())
