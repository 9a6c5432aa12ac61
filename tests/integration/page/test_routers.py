"""What the page shows of a router, and the rewards that it sends."""

from typing import Any

from tests.integration.page.browsing import Page, replace
from tests.integration.page.served import KEY, KEY_HEADER
from tests.serving import request


def status(served: str) -> dict[str, Any]:
    """What the router itself says."""
    answer = request(f"{served}/router/router", **KEY_HEADER)
    assert answer.status == 200, answer
    told: dict[str, Any] = answer.body
    return told


def arm(page: Page, name: str) -> list[str]:
    """The row of a policy: its name and more, share, mean reward, rewards and decisions."""
    return next(row for row in page.rows("#arms") if row[0].split()[0] == name)


def open_router(page: Page, served: str) -> None:
    page.open(f"{served}/router/ui", KEY)
    page.until(lambda: page.rows("#arms"), "the router's policies")


def test_which_policy_answered_is_told_and_its_distribution_shown(page: Page, served: str) -> None:
    open_router(page, served)
    said = page.draw()
    facts = page.facts()
    assert set(facts) == {"Policy", "Propensity"}
    action = ["zero", "one", "two"].index(facts["Policy"])  # each policy takes the action of its own index
    assert said == f"{action} with probability 1"
    assert 0 < float(facts["Propensity"]) <= 1
    assert f"under policy {facts['Policy']}" in page.text("#distribution caption")
    assert [row[2] for row in page.rows("#distribution")][action] == "100.0 %"


def test_the_policies_are_shown_with_share_and_mean_reward_and_follow_rewards(page: Page, served: str) -> None:
    open_router(page, served)
    assert page.text("#router-mode") == "EpsilonGreedy"
    page.draw()
    policy = page.facts()["Policy"]
    before = {one["name"]: one for one in status(served)["arms"]}[policy]
    replace(page.find("#reward"), "0.5")
    page.press("Send the reward")
    page.until(lambda: page.text("#rewarded"), "what became of the reward")
    assert page.text("#rewarded") == "The router has learned it."
    page.until(lambda: arm(page, policy)[3].startswith(f"{before['rewards'] + 1} /"), "the reward in the table")
    assert "answered" in arm(page, policy)[0]
    told = {one["name"]: one for one in status(served)["arms"]}
    assert arm(page, policy)[2] == f"{told[policy]['meanReward']:.4g}"
    page.until(
        lambda: (
            [row[1] for row in page.rows("#arms")] == [f"{100 * one['weight']:.1f} %" for one in status(served)["arms"]]
        ),
        "the shares that the router has now",
    )
    page.keep_screenshot("router")


def test_policies_that_are_not_drawn_or_not_loaded_or_shadows_are_told_apart(page: Page, served: str) -> None:
    page.open(f"{served}/troubled/ui")
    assert page.draw() == "0 with probability 1"
    assert page.facts() == {"Policy": "zero", "Propensity": "none: it wasn't drawn"}
    page.until(lambda: arm(page, "zero")[0] == "zero answered", "who answered")
    assert arm(page, "zero")[1] == "not drawn"
    assert arm(page, "one")[0] == "one not loaded"
    assert "is no bundle" in page.text("#arms .detail")
    assert arm(page, "two")[0] == "two shadow"
    page.keep_screenshot("troubled-router")


def test_a_reward_out_of_range_is_told_beside_it(page: Page, served: str) -> None:
    open_router(page, served)
    page.draw()
    replace(page.find("#reward"), "1.5")
    page.press("Send the reward")
    page.until(lambda: page.text("#reward-error"), "what is wrong")
    assert "1.5" in page.text("#reward-error")
    assert page.focused() == page.find("#reward")
    replace(page.find("#reward"), "")
    page.press("Send the reward")
    page.until(lambda: page.text("#reward-error") == "Input should be a valid number", "what is wrong")
    page.keep_screenshot("reward-error")


def test_an_episode_keeps_its_policy_until_it_is_done(page: Page, served: str) -> None:
    open_router(page, served)
    page.draw()
    policy = page.facts()["Policy"]
    page.find("#continue").click()
    for step in range(2, 10):
        page.draw()
        assert page.facts()["Policy"] == policy
        assert page.sent()["episode_id"]
        assert f"step {step} " in page.text("#episode-hint")
    page.find("#done").click()
    page.press("Send the reward")
    page.until(lambda: page.text("#rewarded"), "what became of the reward")
    assert page.sent()["done"] is True
    assert page.text("#episode-hint") == "It is over; the next answer begins another."
    page.draw()
    assert "episode_id" not in page.sent()


def test_the_routers_status_needs_a_key_and_holds_no_snapshot(served: str) -> None:
    assert request(f"{served}/router/router").status == 401
    told = status(served)
    assert set(told) == {"name", "mode", "frozen", "storeAway", "arms"}
    assert told["name"] == "router"
    assert [one["name"] for one in told["arms"]] == ["zero", "one", "two"]
    assert {one["state"] for one in told["arms"]} == {"Available"}
    assert abs(sum(one["weight"] for one in told["arms"]) - 1) < 1e-9
    assert request(f"{served}/many/router").status == 404
