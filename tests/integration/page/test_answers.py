"""What the page shows of an answer: actions, their distribution, and the request as a command."""

import os
import subprocess
from typing import Any

import pytest

from tests.integration.page.browsing import NOTHING, Page
from tests.integration.page.served import ACTIONS, KEY, KEY_HEADER
from tests.serving import request


def distribution(served: str, name: str, page: Page) -> dict[str, float]:
    """What the server itself says of the observation that the page sent last."""
    answer = request(f"{served}/{name}/distribution/", page.sent())
    assert answer.status == 200, answer
    table: dict[str, float] = answer.body
    return table


def test_the_chart_shows_what_the_distribution_is_and_which_action_was_taken(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    page.fill("speed", "0.1")
    taken = page.draw().split()[0]
    expected = distribution(served, "every-type", page)
    rows = page.rows("#distribution")
    assert [row[0].split()[0] for row in rows] == ACTIONS
    assert [row[0] for row in rows if "taken" in row[0]] == [f"{taken} taken"]
    assert [row[2] for row in rows] == [f"{100 * expected[str(action)]:.1f} %" for action in range(4)]
    drawn = page.all("#distribution .part")
    assert [float(bar.get_dom_attribute("width")) for bar in drawn] == pytest.approx(
        [100 * probability for probability in expected.values()]
    )
    page.keep_screenshot("answer")


def test_the_most_likely_action_is_the_one_with_the_longest_bar(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    said = page.draw("Most likely action")
    expected = distribution(served, "every-type", page)
    likeliest = max(expected, key=lambda action: expected[action])
    assert said == f"{ACTIONS[int(likeliest)]} with probability {expected[likeliest]:.4g}"
    assert page.facts()["Action"] == likeliest


def test_of_many_actions_the_likeliest_are_shown(page: Page, served: str) -> None:
    page.open(f"{served}/many/ui")
    for name in "abc":
        page.fill(name, "0.5")
    page.draw()
    expected = distribution(served, "many", page)
    rows = page.rows("#distribution")
    likeliest = sorted(expected, key=lambda action: expected[action], reverse=True)[:24]
    assert [row[0].split()[0] for row in rows] == likeliest
    assert "the 24 likeliest of 100 actions" in page.text("#distribution caption")


def test_real_numbers_are_shown_as_they_are(page: Page, served: str) -> None:
    page.open(f"{served}/real-numbers/ui")
    said = page.draw("Most likely action")
    answer = request(f"{served}/real-numbers/predict_deterministic/", page.sent()).body
    assert [float(value) for value in page.facts().values()] == answer["actions"]
    assert f"with density {answer['probability']:.4g}" in said
    assert not page.text("#distribution")
    page.keep_screenshot("real-numbers")


def test_every_component_of_an_action_is_shown(page: Page, served: str) -> None:
    page.open(f"{served}/tuples/ui")
    said = page.draw("Most likely action")
    actions = request(f"{served}/tuples/predict_deterministic/", page.sent()).body["actions"]
    assert said.startswith(", ".join(map(str, actions)))
    assert page.facts() == {f"Component {place}": str(action) for place, action in enumerate(actions)}


def test_the_command_asks_the_same_and_holds_no_key(page: Page, served: str) -> None:
    page.open(f"{served}/keyed/ui", KEY)
    page.fill("a", "-1.5")
    page.draw("Most likely action")
    command = page.text("#curl")
    assert KEY not in command
    shell = ["bash", "-c", command]
    answer = subprocess.run(shell, env=os.environ | {"KEY": KEY}, capture_output=True, text=True, check=True)
    expected: Any = request(f"{served}/keyed/predict_deterministic/", page.sent(), **KEY_HEADER)
    assert expected.status == 200
    assert answer.stdout.startswith('{"actions":' + str(expected.body["actions"]))


def test_the_command_can_be_copied(page: Page, served: str) -> None:
    page.chrome.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.open(f"{served}/raw/ui")
    page.draw()
    page.press("Copy")
    page.until(lambda: page.text("#copied") == "Copied.", "the clipboard")
    copied = page.chrome.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == page.text("#curl")


def test_when_the_server_is_away_it_is_said_and_what_was_typed_stays(page: Page, served: str) -> None:
    page.open(f"{served}/raw/ui")
    page.fill("obs", "3")
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.chrome.execute_cdp_cmd("Network.enable", {})
    page.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", network | {"offline": True})
    assert page.draw() == NOTHING
    assert page.text("#alert") == "The server doesn't answer; try again."
    page.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", network | {"offline": False})
    assert page.draw() != NOTHING
    assert page.values("obs")[0] == "3"
    assert not page.text("#alert")


def test_a_policy_with_a_memory_goes_on_with_its_episode(page: Page, served: str) -> None:
    page.open(f"{served}/memory/ui")
    page.fill("a", "1")
    page.draw()
    assert "state" not in page.sent()
    first = page.rows("#distribution")
    page.draw()
    assert page.sent()["state"]
    assert "step 2" in page.text("#episode")
    assert [row[2] for row in page.rows("#distribution")] != [row[2] for row in first]
    page.find("#continue").click()
    page.draw()
    assert "state" not in page.sent()
    assert [row[2] for row in page.rows("#distribution")] == [row[2] for row in first]
