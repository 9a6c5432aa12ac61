"""The dashboards as files, and the metrics that they and the alerts are made of."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

import policy_operator.metrics
from policy_server import drift
from policy_server.metrics import families
from policy_server.tallies import Tallies

MANIFESTS = Path(__file__).parents[3] / "manifests"
FILES = sorted((MANIFESTS / "dashboards").glob("*.json"))
ALERTS = MANIFESTS / "alerts" / "policyserver.yaml"
_SUFFIXES = {
    "counter": ["_total"],
    "histogram": ["_bucket", "_count", "_sum"],
    "summary": ["_count", "_sum"],
    "gauge": [""],
}


def panels(file: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"]


def told() -> list[Metric]:
    """The families of the server and the operator."""
    assert policy_operator.metrics.READINESS
    every = [*families(Tallies()), *drift.families({}), *REGISTRY.collect()]
    return [family for family in every if family.name.startswith("policyserver_")]


def series() -> Iterator[str]:
    """The names of all that they tell."""
    for family in told():
        yield from (f"{family.name}{suffix}" for suffix in _SUFFIXES.get(family.type, [""]))


def test_there_are_three() -> None:
    assert {file.stem for file in FILES} == {"policyserver", "policyserver-operator", "policyserver-router"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_keeps_its_address_and_every_panel_says_what_it_shows(file: Path) -> None:
    dashboard = json.loads(file.read_text())
    assert dashboard["uid"] == file.stem
    titles = [panel["title"] for panel in panels(file)]
    assert len(titles) > 8
    for panel in panels(file):
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_variable_that_is_used_is_there(file: Path) -> None:
    text = file.read_text()
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__range"}
    assert used == {variable["name"] for variable in json.loads(text)["templating"]["list"]}


@pytest.mark.parametrize("file", [*FILES, ALERTS], ids=lambda file: file.stem)
def test_every_metric_that_is_asked_for_is_told(file: Path) -> None:
    text = ALERTS.read_text() if file == ALERTS else json.dumps([panel["targets"] for panel in panels(file)])
    asked = set(re.findall(r"\bpolicyserver_\w+(?=[{\[ )\\\n])", text))
    assert asked
    assert asked <= set(series())


@pytest.mark.parametrize("file", [*FILES, ALERTS], ids=lambda file: file.stem)
def test_sums_of_rewards_are_never_taken_for_counters(file: Path) -> None:
    assert not re.search(r"(rate|increase)\(policyserver_reward_sum", file.read_text())


def test_every_metric_is_documented_with_its_type() -> None:
    text = (MANIFESTS.parent / "docs" / "reference" / "metrics.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)`(?: \\\*)? \| (\w+) \|", text, re.MULTILINE))
    total = {"counter": "_total"}
    assert documented == {f"{family.name}{total.get(family.type, '')}": family.type for family in told()}
