"""The alerts, judged by Prometheus' own tool."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.sources.conftest import program

REPOSITORY = Path(__file__).parents[3]
RULES = REPOSITORY / "manifests" / "alerts" / "policyserver.yaml"
CASES = Path(__file__).with_name("alerts.yaml")
RUNBOOKS = REPOSITORY / "docs" / "runbooks.md"


def alerts() -> dict[str, Any]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def promtool(*arguments: object) -> str:
    """What it says of files that are as they should be."""
    command = [str(program("promtool")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)


def test_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", CASES)


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_has_a_case_where_it_fires_and_one_where_it_does_not(alert: str) -> None:
    tests = yaml.safe_load(CASES.read_text())["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", ()) if case["alertname"] == alert]
    assert {bool(case.get("exp_alerts")) for case in cases} == {True, False}


@pytest.mark.parametrize(("name", "alert"), alerts().items())
def test_each_alert_leads_to_its_runbook(name: str, alert: dict[str, Any]) -> None:
    assert alert["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
    assert f"## {name}\n" in RUNBOOKS.read_text()
