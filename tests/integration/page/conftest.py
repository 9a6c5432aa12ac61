"""A browser, and servers with pages to open in it."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.integration.page.browsing import NARROW, WIDE, Page
from tests.integration.page.chromium import open_chromium
from tests.integration.page.served import Served, configurations


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    """A browser for all tests."""
    browser = open_chromium()
    yield browser
    browser.quit()


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def page(chrome: Chrome, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab of two sizes; at the end of the test nothing has gone wrong in it, and nothing stuck out."""
    page = Page(chrome, request.param)
    yield page
    assert not chrome.execute_script(
        "return [...document.querySelectorAll('html, .card')].filter((one) => one.scrollWidth > one.clientWidth)"
    )
    # What the server refuses the browser notes, too, as "network"; tests say which refusals they expect.
    assert not [line for line in chrome.get_log("browser") if line["source"] != "network"]  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL under which each PolicyServer of `configurations` has its page."""
    folder = tmp_path_factory.mktemp("served")
    with Served(folder, configurations(folder)) as server:
        yield f"{server.url}/page"


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with one PolicyServer, which answers at the root, too."""
    folder = tmp_path_factory.mktemp("alone")
    with Served(folder, {"every-type": configurations(folder)["every-type"]}) as server:
        yield server.url
