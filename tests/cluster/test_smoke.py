"""Is it a cluster? Pods, DNS, Services, ingress, storage and the fences around them."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.processes import wait_until

SMOKE = Path(__file__).parent / "smoke"
IMAGE = "policyserver.local/smoke:test"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The running cluster, with one web server in it."""
    # Building a cluster takes a quarter of an hour: nobody who types `pytest` has asked for that.
    if os.geteuid() != 0:
        pytest.skip("the node needs root")
    cluster = Cluster()
    if not cluster.is_up():
        pytest.skip("no cluster is up: python -m tests.cluster up")
    images.build_image(SMOKE / "Dockerfile", IMAGE, context=SMOKE)
    cluster.load(IMAGE)
    cluster.kubectl("apply", "--filename", str(SMOKE / "web.yaml"))
    cluster.kubectl("rollout", "status", "deployment/web", "--namespace=smoke", "--timeout=60s")
    yield cluster
    cluster.kubectl("delete", "namespace", "smoke")


def in_pod(cluster: Cluster, code: str) -> str:
    """What Python code printed that ran in the web server's pod."""
    pod = ("--namespace=smoke", "deployment/web", "--")
    return cluster.kubectl("exec", *pod, "python", "-c", code)


def page(cluster: Cluster, url: str, host: str = "") -> str:
    """What a pod gets from a URL; nothing while nobody answers."""
    headers = {"Host": host} if host else {}
    try:
        return in_pod(cluster, f"import httpx; print(httpx.get({url!r}, headers={headers}).text)")
    except ClusterError:
        return ""


def test_pods_reach_services_by_name(cluster: Cluster) -> None:
    """A short name and a full one lead to the web server, through DNS and a Service."""
    # The rules of a Service follow its pods by up to a second.
    assert wait_until(lambda: "it runs" in page(cluster, "http://web/"), 10)
    assert "it runs" in page(cluster, "http://web.smoke.svc.cluster.local/")


def test_ingress_serves_the_host_and_pods(cluster: Cluster) -> None:
    """An Ingress without a class gets the default one, an HTTPRoute names it; others get 404."""

    def answer(host: str) -> str:
        request = urllib.request.Request(cluster.ingress_url, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return f"{response.status} {response.read().decode().strip()}"
        except urllib.error.HTTPError as error:
            return str(error.code)

    assert wait_until(lambda: answer("smoke.example") == "200 it runs", 10)
    assert wait_until(lambda: answer("gateway.example") == "200 it runs", 10)
    assert answer("other.example") == "404"
    assert "it runs" in page(cluster, f"http://{cluster.ingress_host}/", host="smoke.example")


def test_a_claim_gets_a_volume_that_a_user_can_write(cluster: Cluster) -> None:
    """The default StorageClass binds, and fsGroup makes the volume writable."""
    in_pod(cluster, "open('/data/kept', 'w').write('x')")
    claim = cluster.kubectl("get", "pvc", "web", "--namespace=smoke", "--output=json")
    assert json.loads(claim)["status"]["phase"] == "Bound"


def test_nothing_leaves_the_machine(cluster: Cluster) -> None:
    """Pods have no way out, by the address of a documentation network."""
    asked = (
        "import socket\n"
        "try: socket.create_connection(('203.0.113.80', 443), 2); print('open')\n"
        "except OSError: print('closed')\n"
    )
    assert in_pod(cluster, asked).strip() == "closed"


def test_pod_security_is_enforced(cluster: Cluster) -> None:
    """A namespace that asks for the restricted profile refuses a pod that is not."""
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        cluster.kubectl("run", "free", f"--image={IMAGE}", "--namespace=smoke")


def test_the_api_server_writes_down_who_asked(cluster: Cluster) -> None:
    """The audit log has a request as soon as its caller has the answer."""
    cluster.kubectl("create", "configmap", "noted", "--namespace=smoke")
    last = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()[-20:]]
    asked = [(event["verb"], event.get("objectRef", {}).get("name")) for event in last]
    assert ("create", "noted") in asked
