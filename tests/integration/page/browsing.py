"""The page as a person sees and uses it."""

import base64
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.common import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.serving import wait_for

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
NOTHING = "No answer."
WIDE, NARROW = (1280, 900), (380, 760)


class Page:
    """One browser's tab.

    Attributes:
        chrome: the browser.
        size: of the window, in CSS pixels.
    """

    def __init__(self, chrome: Chrome, size: tuple[int, int]) -> None:
        self.chrome = chrome
        self.size = size
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == NARROW}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.prefer("light")

    def prefer(self, scheme: str) -> None:
        """Has the person prefer light or dark pages."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, url: str, key: str | None = None) -> None:
        """Goes there, as somebody who was never there; returns when a form is there, after giving the key if any."""
        self.chrome.get(url)
        if self.chrome.execute_script("const kept = sessionStorage.length; sessionStorage.clear(); return kept"):
            self.chrome.get(url)
        if key is not None:
            self.give_key(key)
        self.until(lambda: self.shown("#observation-form") or self.shown("#key-form"), "a form")

    def give_key(self, key: str) -> None:
        """Types a key, and uses it."""
        self.until(lambda: self.shown("#key-form"), "the form of the key")
        self.find("#key").send_keys(key, Keys.ENTER)
        self.until(lambda: self.shown("#key-kept") or self.text("#key-error"), "what the server says to the key")

    def find(self, selector: str) -> WebElement:
        """Returns the first that fits."""
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Returns all that fit."""
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def field(self, name: str) -> WebElement:
        """Returns the field of an observation."""
        return self.find(f'[data-name="{name}"]')

    def inputs(self, name: str) -> list[WebElement]:
        """Returns the inputs of an observation."""
        return self.field(name).find_elements(By.TAG_NAME, "input")

    def values(self, name: str) -> list[str | bool]:
        """Returns what they hold."""
        return [
            one.is_selected() if one.get_dom_attribute("type") == "checkbox" else one.get_property("value")  # type: ignore[misc]  # a string
            for one in self.inputs(name)
        ]

    def fill(self, name: str, text: str, place: int = 0) -> None:
        """Types a number in place of the one that is there."""
        replace(self.inputs(name)[place], text)

    def error(self, name: str) -> str:
        """Returns what is said to be wrong with an observation."""
        return self.field(name).find_element(By.CLASS_NAME, "error").text

    def button(self, text: str) -> WebElement:
        """Returns the button that says so."""
        return next(one for one in self.all("button") if one.is_displayed() and one.accessible_name == text)

    def press(self, text: str) -> None:
        """Presses a button."""
        self.button(text).click()

    def draw(self, button: str = "Draw an action") -> str:
        """Asks for an action; returns what is said when the answer and all that belongs to it is there."""
        self.press(button)
        self.until(self.rests, "the server")
        return self.text("#action")

    def rests(self) -> bool:
        """Whether nothing is being asked for a form."""
        return not self.all("[aria-busy=true]")

    def text(self, selector: str) -> str:
        """Returns what can be read there."""
        return self.find(selector).text

    def shown(self, selector: str) -> bool:
        """Whether it can be seen."""
        return self.find(selector).is_displayed()

    def facts(self) -> dict[str, str]:
        """Returns what is said of the answer, by its name."""
        names, values = self.all("#details dt"), self.all("#details dd")
        return {name.text: value.text for name, value in zip(names, values, strict=True)}

    def rows(self, selector: str) -> list[list[str]]:
        """Returns the text of a table's cells."""
        told: list[list[str]] = self.chrome.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map(row => [...row.cells].map(one => one.innerText))",
            f"{selector} tbody tr",
        )
        return told

    def sent(self) -> dict[str, Any]:
        """Returns the body of the request that is shown as a command."""
        body: dict[str, Any] = json.loads(shlex.split(self.text("#curl"))[-1])
        return body

    def focused(self) -> WebElement:
        """Returns what has the keyboard."""
        return self.chrome.switch_to.active_element

    def type(self, *keys: str) -> None:
        """Presses keys, wherever the keyboard is."""
        ActionChains(self.chrome).send_keys(*keys).perform()

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Waits for something; what is replaced meanwhile is looked for again."""

        def seen() -> Any:
            try:
                return condition()
            except (NoSuchElementException, StaleElementReferenceException):
                return None

        wait_for(seen, what)

    def keep_screenshot(self, name: str) -> None:
        """Writes what the whole page looks like, for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        picture = self.chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
        (SCREENSHOTS / f"{name}-{self.size[0]}.png").write_bytes(base64.b64decode(picture))


def replace(field: WebElement, text: str) -> None:
    """Types in place of what an input holds."""
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(Keys.DELETE, text)
