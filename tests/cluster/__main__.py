"""The command line: `python -m tests.cluster --help`."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster import base_image, build, deps, images, layout, versions
from tests.cluster.cluster import Cluster
from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import ClusterError, Unsupported
from tests.cluster.progress import say

_DESCRIPTION = """\
A real Kubernetes on this machine, for the tests: built from source, without Docker and without an
image registry. `up` does all it needs; the first time takes a quarter of an hour, later a minute.

  python -m tests.cluster up
  eval "$(python -m tests.cluster env)"
  kubectl get pods -A

Not needed when KUBECONFIG names a cluster of yours (kind, k3d).
"""
_EPILOG = """\
environment:
  POLICYSERVER_CLUSTER_CACHE  everything is built and runs below this folder
                              (default: ~/.cache/policyserver/cluster)
  KUBEBUILDER_ASSETS          control-plane: a folder that has the programs already

exit codes: 0 done; 1 failed; 2 can't be done on this machine; 3 status: not up
"""


Command = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except Unsupported as error:
        print(error, file=sys.stderr)
        return 2
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.set_defaults(command=command)
        return added

    add("up", _up, "bring the cluster up, building what is missing")
    add("down", _down, "end the cluster; what was built stays")
    add("status", _status, "say what runs")
    add("env", _env, "print what a shell needs to use the cluster, for eval")
    add("deps", _deps, "install the Debian packages that are missing")
    building = add("build", _build, "build programs from source")
    building.add_argument("programs", nargs="*", metavar="PROGRAM", help="default: all of them")
    add("images", _images, "build the base image and the images of the cluster's own pods")
    image = add("image", _image, "build an image from a Dockerfile, and load it when up")
    image.add_argument("dockerfile", type=Path)
    image.add_argument("tag", help="full name, as docker.io/policyserver/server:test")
    image.add_argument("--target", help="the stage to build")
    image.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    image.add_argument("--context", type=Path, default=images.REPOSITORY)
    restart = add("restart-api-server", _restart, "stop the API server and start it again")
    restart.add_argument("--down", type=float, default=0.0, metavar="SECONDS", help="in between")
    alone = add("control-plane", _control_plane, "run a command against an API without nodes")
    alone.add_argument("argv", nargs="*", metavar="COMMAND", help="default: your shell")
    return parser


def _up(_: argparse.Namespace) -> int:
    started = time.monotonic()
    Cluster().up()
    say("up", started)
    return 0


def _down(_: argparse.Namespace) -> int:
    started = time.monotonic()
    Cluster().down()
    say("down", started)
    return 0


def _status(_: argparse.Namespace) -> int:
    cluster = Cluster()
    for name, runs in cluster.processes().items():
        print(f"{name:25}{'running' if runs else 'ENDED'}")
    up = cluster.is_up()
    print(f"up: {cluster.ingress_url}, KUBECONFIG={cluster.kubeconfig}" if up else "not up")
    return 0 if up else 3


def _env(_: argparse.Namespace) -> int:
    print(f"export KUBECONFIG={shlex.quote(str(Cluster().kubeconfig))}")
    print(f'export PATH={shlex.quote(str(layout.cache() / "bin"))}:"$PATH"')
    return 0


def _deps(_: argparse.Namespace) -> int:
    deps.ensure()
    return 0


def _build(options: argparse.Namespace) -> int:
    unknown = set(options.programs) - set(versions.ALL)
    if unknown:
        known = " ".join(versions.ALL)
        raise ClusterError(f"no such program: {' '.join(sorted(unknown))}; there are {known}")
    print(build.ensure(options.programs or versions.ALL))
    return 0


def _images(_: argparse.Namespace) -> int:
    base_image.ensure()
    print("\n".join([base_image.NAME, *images.ensure_system()]))
    return 0


def _image(options: argparse.Namespace) -> int:
    build_args = dict(argument.split("=", 1) for argument in options.build_arg)
    images.build_image(
        options.dockerfile,
        options.tag,
        target=options.target,
        build_args=build_args,
        context=options.context,
    )
    if Cluster().is_up():
        Cluster().load(options.tag)
    return 0


def _restart(options: argparse.Namespace) -> int:
    Cluster().restart_api_server(options.down)
    return 0


def _control_plane(options: argparse.Namespace) -> int:
    started = time.monotonic()
    with ControlPlane(audit=True) as plane:
        say(f"up: {plane.url}, audit log {plane.audit_log}", started)
        environment = os.environ | {
            "KUBECONFIG": str(plane.kubeconfig),
            "PATH": f"{plane.programs}:{os.environ['PATH']}",
        }
        shell = [os.environ.get("SHELL", "/bin/sh")]
        return subprocess.run(options.argv or shell, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
