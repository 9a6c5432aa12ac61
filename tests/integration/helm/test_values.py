"""The chart's values: documented, and refused by name when they are wrong; and the chart as a package."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.helm.chart import CHART, REPOSITORY, Helm, HelmFailed

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = (CHART / "values.yaml").read_text()


def test_the_chart_passes_the_strict_lint(helm: Helm) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm("lint", "--strict", CHART)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replica": 3}, ["replica"]),
        ({"replicas": "two"}, ["replicas", "want integer"]),
        ({"replicas": 0}, ["replicas", "minimum"]),
        ({"watchNamespace": ["cats"]}, ["watchNamespace", "want string"]),
        ({"watchNamespace": "Cats"}, ["watchNamespace", "pattern"]),
        ({"allowPrivateModelAddresses": "true"}, ["allowPrivateModelAddresses", "want boolean"]),
        ({"image": {"registry": "registry.example"}}, ["image", "registry"]),
        ({"image": {"pullPolicy": "Sometimes"}}, ["image/pullPolicy", "IfNotPresent"]),
        ({"image": {"operator": {"digest": "latest"}}}, ["image/operator/digest", "sha256"]),
        ({"image": {"importer": {"repository": "mine/importer"}}}, ["image/importer/repository", "framework"]),
        ({"imagePullSecrets": ["mirror"]}, ["imagePullSecrets/0", "want object"]),
        ({"crds": {"kept": True}}, ["crds", "kept"]),
        ({"serviceAccount": {"name": ""}}, ["serviceAccount/name"]),
        ({"networkPolicy": {"apiServerPorts": [65536]}}, ["networkPolicy/apiServerPorts/0"]),
        ({"commonLabels": {"app.kubernetes.io/name": "mine"}}, ["commonLabels/app.kubernetes.io"]),
        ({"podAnnotations": {"note": 1}}, ["podAnnotations/note", "want string"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, values: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(HelmFailed) as refused:
        helm.render(**values)
    for text in told:
        assert text in str(refused.value)


def test_values_of_other_charts_may_be_global(helm: Helm) -> None:
    assert helm.render(**{"global": {"storageClass": "fast"}})


def test_every_default_is_in_the_schema_and_the_other_way_round() -> None:
    assert _paths(yaml.safe_load(VALUES)) == _described(SCHEMA)


def test_every_value_has_a_comment() -> None:
    lines = VALUES.splitlines()
    told = 0
    for before, line in zip(["", *lines], lines, strict=False):
        key, _, value = line.strip().partition(":")
        # What opens a group needs none; resources is one value of two lines.
        if line.startswith(("  limits:", "  requests:")) or not key or key[0] == "#":
            continue
        if value or key == "resources":
            assert before.strip().startswith("# "), f"{line.strip()} has no comment above it"
            told += 1
    assert told == len(_paths(yaml.safe_load(VALUES)))


def test_the_chart_has_the_version_of_the_package(helm: Helm, tmp_path: Path) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    helm("package", CHART, "--destination", tmp_path)
    packaged = tmp_path / f"policyserver-{version}.tgz"
    assert yaml.safe_load(helm("show", "chart", packaged))["appVersion"] == version
    assert helm("show", "values", packaged).strip() == VALUES.strip()


FREE = {"resources", "affinity"}
"""What Kubernetes describes."""


def _paths(values: dict[str, Any], above: str = "") -> set[str]:
    found = set()
    for name, value in values.items():
        path = f"{above}{name}"
        found |= _paths(value, f"{path}.") if isinstance(value, dict) and value and path not in FREE else {path}
    return found


def _described(schema: dict[str, Any], above: str = "") -> set[str]:
    found = set()
    for name, node in schema["properties"].items():
        path = f"{above}{name}"
        described = SCHEMA["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        found |= _described(described, f"{path}.") if "properties" in described and path not in FREE else {path}
    return found
