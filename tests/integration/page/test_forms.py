"""The form that the schema makes, and what is told of what is wrong in it."""

import pytest
from selenium.webdriver import Keys

from tests.integration.page.browsing import NOTHING, Page, replace
from tests.integration.page.served import ACTIONS


def test_every_observation_has_a_field_of_its_type_with_its_bounds_and_its_default(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    level, speed = page.inputs("level")[0], page.inputs("speed")[0]
    attributes = ["type", "step", "min", "max"]
    assert [level.get_dom_attribute(name) for name in attributes] == ["number", "1", "1", "9"]
    assert [speed.get_dom_attribute(name) for name in attributes] == ["number", "any", "0", None]
    assert page.values("level") == ["1"]  # what is nearest to 0
    assert page.values("speed") == ["0.5"]
    assert page.values("awake") == [False]
    assert page.values("counts") == ["0", "0"]
    assert page.values("distances") == ["0.25", "4"]
    assert page.values("walls") == [False, False]
    assert page.values("allowed") == [True] * 4
    assert "Counted from 1. · whole number, from 1 to 9" in page.field("level").text
    assert "0.5 if left out" in page.field("speed").text
    page.keep_screenshot("form")


def test_what_is_typed_is_what_is_sent(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    page.fill("level", "7")
    page.fill("speed", "1e-3")
    page.inputs("awake")[0].click()
    page.fill("counts", "12", place=1)
    page.inputs("walls")[1].click()
    page.inputs("allowed")[0].click()
    assert page.draw() != NOTHING
    assert page.sent() == {
        "level": 7,
        "speed": 0.001,
        "awake": True,
        "counts": [0, 12],
        "distances": [0.25, 4],
        "walls": [False, True],
        "allowed": [False, True, True, True],
    }


def test_what_has_a_default_may_be_left_empty(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    page.fill("speed", "")
    assert page.draw() != NOTHING
    assert "speed" not in page.sent()


def test_masks_are_check_boxes_with_the_names_of_actions_and_hold(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    boxes = page.inputs("allowed")
    assert [box.accessible_name for box in boxes] == [f"allowed, {action}" for action in ACTIONS]
    for box in boxes[:3]:
        box.click()
    assert page.draw() == "west with probability 1"
    boxes[3].click()
    page.draw()
    assert "at least one" in page.error("allowed")


def test_lists_grow_and_shrink_within_their_lengths(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    field = page.field("distances")
    page.press("Add an item")
    assert page.values("distances") == ["0.25", "4", "0"]
    assert page.focused().accessible_name == "distances, item 2"
    assert not [
        one for one in field.find_elements("tag name", "button") if one.text == "Add an item" and one.is_displayed()
    ]
    page.press("Remove item 0 of distances")
    assert page.values("distances") == ["4", "0"]
    assert page.focused().accessible_name == "distances, item 0"
    page.press("Remove item 1 of distances")
    assert page.values("distances") == ["4"]
    assert not [one for one in page.all(".remove") if one.is_displayed() and "distances" in one.accessible_name]


def test_a_list_that_takes_all_the_rest_has_its_length(page: Page, served: str) -> None:
    page.open(f"{served}/one-list/ui")
    assert page.values("row") == ["0", "0", "0"]
    assert "3 items" in page.field("row").text
    assert page.draw() != NOTHING


def test_several_numbers_can_be_pasted_into_a_list(page: Page, served: str) -> None:
    page.open(f"{served}/one-list/ui")
    page.chrome.execute_script(
        """const clipboardData = new DataTransfer();
        clipboardData.setData("text", "[1.5, -2, 3e2]");
        arguments[0].dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));""",
        page.inputs("row")[0],
    )
    assert page.values("row") == ["1.5", "-2", "3e2"]


def test_what_is_wrong_is_said_beside_its_field_until_it_is_right(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    page.fill("level", "10")
    page.fill("counts", "-1", place=1)
    page.fill("distances", "", place=0)
    assert page.draw() == NOTHING
    assert page.error("level") == "Input should be less than or equal to 9"
    assert page.error("counts") == "item 1: Input should be greater than or equal to 0"
    assert page.error("distances") == "item 0: Input should be a valid number"
    assert page.text("#alert") == "To correct: level, counts, distances"
    assert [one.get_dom_attribute("aria-invalid") for one in page.inputs("counts")] == [None, "true"]
    assert page.focused() == page.inputs("level")[0]
    page.keep_screenshot("errors")
    replace(page.inputs("level")[0], "9")
    replace(page.inputs("counts")[1], "1")
    page.fill("distances", "1", place=0)
    assert page.draw() != NOTHING
    assert not any(one.text for one in page.all(".error, .alert"))
    assert not page.all("[aria-invalid]")


def test_what_is_no_number_is_not_sent(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    page.fill("level", "1-")
    assert page.draw() == NOTHING
    assert page.error("level") == "not a number"
    assert not page.shown("#request")


def test_observations_of_another_length_than_the_models_are_told_as_a_whole(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    page.press("Add an item")
    assert page.draw() == NOTHING
    assert "has 14 values, the model takes 13" in page.text("#alert")


def test_without_observations_the_models_own_input_is_asked_for(page: Page, served: str) -> None:
    page.open(f"{served}/raw/ui")
    assert page.values("obs") == ["0", "0", "0"]
    assert not page.shown("#most-likely")
    assert page.draw() != NOTHING
    assert page.sent() == {"obs": [0, 0, 0]}


@pytest.mark.parametrize("name", ["every-type", "router", "memory", "raw"])
def test_everything_that_takes_input_has_a_name(page: Page, served: str, name: str) -> None:
    page.open(f"{served}/{name}/ui", key="schlüssel" if name == "router" else None)
    page.draw()
    controls = page.all("input, button, a, pre")
    assert len(controls) > 8
    assert all(one.accessible_name for one in controls if one.is_displayed())


def test_the_keyboard_alone_is_enough(page: Page, served: str) -> None:
    page.open(f"{served}/every-type/ui")
    visited = []
    while page.focused().accessible_name != "Draw an action":
        page.type(Keys.TAB)
        visited.append(page.focused().accessible_name)
        if visited[-1] == "level":
            page.type(Keys.CONTROL, "a", Keys.NULL, "5")
        elif visited[-1] in ("awake", "allowed, south"):
            page.type(Keys.SPACE)
        assert len(visited) < 50
    order = [visited.index(name) for name in ("level", "speed", "awake", "counts, item 0", "allowed, north")]
    assert order == sorted(order)
    page.type(Keys.ENTER)
    page.until(lambda: "probability" in page.text("#action"), "the answer")
    assert (page.sent()["level"], page.sent()["awake"]) == (5, True)
    assert page.sent()["allowed"] == [True, True, False, True]
