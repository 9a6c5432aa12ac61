"""What the chart adds for Prometheus' operator and for Grafana."""

import json
from typing import Any

import pytest
import yaml

from tests.integration.helm.chart import REPOSITORY, Helm, Object, container, one

MONITORING = "monitoring.coreos.com/v1"
KINDS = [f"--api-versions={MONITORING}/{kind}" for kind in ("ServiceMonitor", "PrometheusRule")]
DASHBOARDS = "policyserver-dashboards"


def monitoring(documents: list[Object]) -> list[str]:
    return sorted(each["kind"] for each in documents if each["apiVersion"] == MONITORING)


def test_a_cluster_without_the_kinds_gets_none_of_them(helm: Helm) -> None:
    assert monitoring(helm.render()) == []
    assert monitoring(helm.render(*KINDS)) == ["PrometheusRule", "ServiceMonitor"]


@pytest.mark.parametrize(("value", "left"), [("serviceMonitor", "PrometheusRule"), ("alerts", "ServiceMonitor")])
def test_each_can_be_left_out(helm: Helm, value: str, left: str) -> None:
    assert monitoring(helm.render(*KINDS, monitoring={value: {"enabled": False}})) == [left]


def test_the_service_monitor_finds_the_port_of_the_metrics(helm: Helm) -> None:
    documents = helm.render(*KINDS, networkPolicy={"enabled": True})
    monitor, service = one(documents, "ServiceMonitor"), one(documents, "Service")
    (endpoint,) = monitor["spec"]["endpoints"]
    (port,) = service["spec"]["ports"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    deployment = one(documents, "Deployment")
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert endpoint["port"] == port["name"]
    assert {"name": port["targetPort"], "containerPort": 8081} in container(deployment)["ports"]
    (ingress,) = one(documents, "NetworkPolicy")["spec"]["ingress"]
    assert {"protocol": "TCP", "port": port["targetPort"]} in ingress["ports"]


def test_a_prometheus_that_selects_by_label_finds_both(helm: Helm) -> None:
    values: dict[str, Any] = {"labels": {"release": "prometheus"}}
    documents = helm.render(*KINDS, monitoring={"serviceMonitor": {**values, "interval": "15s"}, "alerts": values})
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert one(documents, kind)["metadata"]["labels"]["release"] == "prometheus"
    assert one(documents, "ServiceMonitor")["spec"]["endpoints"][0]["interval"] == "15s"


def test_alerts_are_those_of_the_file(helm: Helm) -> None:
    file = REPOSITORY / "manifests" / "alerts" / "policyserver.yaml"
    assert one(helm.render(*KINDS), "PrometheusRule")["spec"] == yaml.safe_load(file.read_text())


def test_grafana_finds_the_dashboards_as_they_are(helm: Helm) -> None:
    config_map = one(helm.render(), "ConfigMap", DASHBOARDS)
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    files = {file.name: file for file in (REPOSITORY / "manifests" / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for name, text in config_map["data"].items()} == {
        name: json.loads(file.read_text()) for name, file in files.items()
    }


def test_the_folder_of_the_dashboards_can_be_said(helm: Helm) -> None:
    dashboards = {"label": "dashboards/mine", "annotations": {"grafana_folder": "Policies"}}
    metadata = one(helm.render(monitoring={"dashboards": dashboards}), "ConfigMap", DASHBOARDS)["metadata"]
    assert metadata["labels"]["dashboards/mine"] == "1"
    assert metadata["annotations"] == {"grafana_folder": "Policies"}
