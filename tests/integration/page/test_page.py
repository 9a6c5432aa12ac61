"""How the page is reached, who may see what, and what it loads."""

import urllib.request

import pytest
from openapi_spec_validator import validate

from policy_server.doors.page import FOLDER
from tests.integration.page.browsing import NOTHING, Page
from tests.integration.page.served import KEY
from tests.serving import request

MOST_BYTES = 60_000


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/page/every-type/ui", "/page/every-type/ui/"])
def test_it_works_at_the_root_and_under_the_url_path_with_and_without_the_slash(
    page: Page, alone: str, path: str
) -> None:
    page.open(alone + path)
    assert page.draw() != NOTHING
    assert page.text("h1") == page.chrome.title == "every-type"
    assert page.rows("#distribution")
    prefix = path.rstrip("/").removesuffix("/ui")
    assert f"'{alone}{prefix}/predict/'" in page.text("#curl")
    assert page.find("header a").get_property("href") == f"{alone}{prefix}/docs"


def test_nothing_of_the_policy_is_shown_without_a_key(page: Page, served: str) -> None:
    page.open(f"{served}/keyed/ui")
    assert page.shown("#key-form")
    assert not page.shown("#observation-form")
    page.keep_screenshot("key")
    page.give_key("cheese")
    assert page.text("#key-error") == "The server doesn't accept this key."
    assert not page.shown("#observation-form")
    page.give_key(KEY)
    page.until(lambda: page.shown("#observation-form"), "the form")
    assert not page.shown("#key-form")
    assert page.draw() != NOTHING


def test_a_key_is_kept_for_the_session_alone_and_for_this_policyserver_alone(page: Page, served: str) -> None:
    page.open(f"{served}/keyed/ui", KEY)
    page.chrome.refresh()
    page.until(lambda: page.shown("#observation-form"), "the form")
    kept = page.chrome.execute_script("return [Object.values(sessionStorage), localStorage.length, document.cookie]")
    assert kept == [[KEY], 0, ""]
    page.chrome.get(f"{served}/router/ui")
    page.until(lambda: page.shown("#key-form"), "the form of the key")
    page.chrome.get(f"{served}/keyed/ui")
    page.until(lambda: page.shown("#forget"), "the key that is kept")
    page.press("Forget it")
    page.until(lambda: page.shown("#key-form"), "the form of the key")
    assert page.chrome.execute_script("return sessionStorage.length") == 0


def test_a_key_that_is_no_longer_accepted_is_asked_for_again_and_what_was_typed_stays(page: Page, served: str) -> None:
    page.open(f"{served}/keyed/ui", KEY)
    page.fill("a", "4.5")
    page.chrome.execute_script("for (const name of Object.keys(sessionStorage)) sessionStorage.setItem(name, 'old')")
    page.draw()
    assert page.text("#key-error") == "The server doesn't accept this key."
    page.give_key(KEY)
    page.until(lambda: page.shown("#key-kept"), "the key that is kept")
    assert page.draw() != NOTHING
    assert page.sent()["a"] == 4.5


def test_all_that_it_loads_is_the_servers_own_and_light(page: Page, served: str) -> None:
    page.open(f"{served}/router/ui", KEY)
    page.draw()
    loaded = page.chrome.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(loaded) > 5
    assert all(url.startswith(f"{served}/router/") for url in loaded)
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < MOST_BYTES


def test_what_it_may_do_is_limited_to_the_server_itself(page: Page, served: str) -> None:
    page.open(f"{served}/raw/ui")
    blocked = page.chrome.execute_async_script(
        """const [answer] = arguments, blocked = [];
        document.addEventListener("securitypolicyviolation", (event) => {
          blocked.push(event.effectiveDirective);
          if (blocked.length === 3) answer(blocked.sort());
        });
        const script = document.createElement("script"), image = new Image();
        script.append("window.ran = true");
        document.body.append(script);
        image.src = "http://127.0.0.2/";
        fetch("http://127.0.0.2/").catch(() => null);"""
    )
    page.chrome.get_log("browser")  # type: ignore[no-untyped-call]  # they were to be expected
    assert blocked == ["connect-src", "img-src", "require-trusted-types-for"]
    assert page.chrome.execute_script("return window.ran === undefined")


def test_the_pages_files_need_no_key_and_are_no_part_of_the_api(served: str) -> None:
    for name in ("", "/", *(f"/{file.name}" for file in FOLDER.iterdir() if file.suffix != ".html")):
        with urllib.request.urlopen(f"{served}/keyed/ui{name}", timeout=30) as answer:
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
            assert answer.headers["x-content-type-options"] == "nosniff"
    assert request(f"{served}/keyed/ui/nothing").status == 404
    document = request(f"{served}/router/openapi.json").body
    assert not [path for path in document["paths"] if path.startswith("/ui")]
    assert "/router" in document["paths"]
    validate(document)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(page: Page, served: str, scheme: str) -> None:
    page.prefer(scheme)
    page.open(f"{served}/every-type/ui")
    page.draw()
    contrasts = page.chrome.execute_script(
        """const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
        const light = (color) => {
          canvas.fillStyle = color;
          canvas.fillRect(0, 0, 1, 1);
          const part = (byte) => (byte / 255 <= 0.04045 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
          const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(part);
          return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        };
        const ground = (element) => {
          const color = getComputedStyle(element).backgroundColor;
          return color === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : color;
        };
        const told = "h1, h2, a, label, legend, .hint, button, input, dt, dd, th, td, pre, .badge";
        return [...document.querySelectorAll(told)].filter((one) => one.checkVisibility()).map((one) => {
          const [less, more] = [getComputedStyle(one).color, ground(one)].map(light).sort((a, b) => a - b);
          return (more + 0.05) / (less + 0.05);
        });"""
    )
    assert len(contrasts) > 40
    assert min(contrasts) >= 4.5  # what WCAG asks of text
    grounds = {"light": "rgb(244, 245, 247)", "dark": "rgb(15, 19, 24)"}
    assert page.chrome.execute_script("return getComputedStyle(document.body).backgroundColor") == grounds[scheme]
    page.keep_screenshot(scheme)
