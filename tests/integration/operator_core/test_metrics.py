"""What Prometheus reads of an operator at work."""

import socket
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from policy_operator import kinds
from tests.integration.operator_core import kubelet
from tests.integration.operator_core.api_client import Namespace, wait_for
from tests.integration.operator_core.operators import SYSTEM_NAMESPACE, OperatorProcess

Values = dict[tuple[str, ...], float]


def scraped(operator: OperatorProcess) -> Values:
    """Values by name and labels' values, in the order of the labels' names."""
    text = httpx2.get(f"http://127.0.0.1:{operator.metrics_port}/metrics", timeout=10).text
    return {
        (
            sample.name.removeprefix("policyserver_"),
            *(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_leader_tells_what_it_does(operator: OperatorProcess, namespace: Namespace) -> None:
    before = scraped(operator)
    namespace.serve("mouse")
    (pod,) = namespace.wait_for_pods(1)
    series = "ready", namespace.name, "mouse"
    wait_for(lambda: scraped(operator).get(series) == 0, "a PolicyServer that isn't ready")
    kubelet.serves(namespace, pod)
    wait_for(lambda: scraped(operator).get(series) == 1, "a PolicyServer that is ready")
    after = scraped(operator)
    assert after["operator_leader",] == 1
    for name in ("Deployment", "Service", "ConfigMap", "PolicyServer"):
        write = "operator_writes_total", name, "patch"
        assert after[write] > before.get(write, 0), name
    assert after["operator_reconciles_total", "success"] > before["operator_reconciles_total", "success"]
    namespace.api.delete(kinds.POLICY_SERVER, namespace.name, "mouse")
    wait_for(lambda: series not in scraped(operator), "the end of what is gone")


def test_what_cannot_be_written_is_counted_by_its_reason(operator: OperatorProcess, namespace: Namespace) -> None:
    service = {"metadata": {"name": "mouse"}, "spec": {"ports": [{"port": 80}]}}
    namespace.api.create(kinds.SERVICE.path(namespace.name), service)
    taken = "operator_errors_total", "NameTaken"
    before = scraped(operator)[taken]
    namespace.serve("mouse")
    wait_for(lambda: scraped(operator)[taken] > before, "an error")


def test_a_port_in_use_is_told_in_one_line(credentials: Path, tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        options = (f"--operator-namespace={SYSTEM_NAMESPACE}", f"--metrics-port={port}")
        with OperatorProcess(credentials, tmp_path / "log", *options) as operator:
            assert operator.wait(60) == 2
    assert f"error: port {port}: Address already in use; choose another --metrics-port" in operator.log
    assert "Traceback" not in operator.log
