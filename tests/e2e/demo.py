"""`make demo-cluster`: the sample policy on a real cluster, and a first answer."""

from __future__ import annotations

import subprocess

from policy_operator.manifests import read
from policy_operator.sample_request import sample_request
from tests.cluster.errors import ClusterError
from tests.cluster.images import REPOSITORY
from tests.e2e.target import Target
from tests.serving import request, wait_for

EXAMPLE = REPOSITORY / "manifests" / "examples" / "cartpole.yaml"


def show(target: Target) -> None:
    """Applies the example, waits for it, and prints what a person would type and see."""
    kubectl = target.kubectl
    _echo(target, "apply", f"--filename={EXAMPLE.relative_to(REPOSITORY)}")
    (served,) = read([EXAMPLE]).resolve()
    sample = sample_request(served, target.ingress_url)
    if sample is None:
        raise ClusterError(f"{EXAMPLE} has an observation of unknown length")
    _echo(target, "wait", "--for=condition=Ready", f"policyserver/{served.server.metadata.name}", "--timeout=180s")

    def routed() -> bool:
        return request(f"{target.ingress_url}/{served.url_path}/schema", **sample.headers).status == 200

    wait_for(routed, "the route", 30)
    _echo(target, "get", "policyserver")
    print(f"\n$ {sample.curl}", flush=True)
    answer = subprocess.run(["sh", "-c", f"{sample.curl} -sS --fail-with-body"], capture_output=True, check=False)
    print((answer.stdout or answer.stderr).decode().strip())
    if answer.returncode:
        raise ClusterError("the first request failed")
    if target.cluster is not None:
        programs, config = target.cluster.programs, target.cluster.kubeconfig
        print(f"\nYour turn: export KUBECONFIG={config} PATH={programs}:$PATH; `make cluster-down` ends it.")
    else:
        print(f"\n`{' '.join(kubectl.command('delete', '-f', str(EXAMPLE.relative_to(REPOSITORY))))}` ends it.")


def _echo(target: Target, *arguments: str) -> None:
    shown = [argument for argument in arguments if not argument.startswith("--timeout")]
    print(f"\n$ kubectl {' '.join(shown)}", flush=True)
    command = target.kubectl.command(*arguments)
    done = subprocess.run(command, env=target.kubectl.environment, cwd=REPOSITORY, check=False)
    if done.returncode:
        raise ClusterError(f"kubectl {arguments[0]} failed")
