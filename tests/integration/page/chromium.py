"""Debian's Chromium, which tests open the page in.

`python -m tests.integration.page.chromium` installs it where it isn't, and prints its program.
"""

import os
import shutil
import sys

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.cluster import deps
from tests.cluster.errors import ClusterError
from tests.cluster.versions import FOR_PAGE

INSTEAD = "or install it and its driver yourself: the tests take `chromium` and `chromedriver` from PATH"


def open_chromium() -> Chrome:
    """Returns a browser without a window; where none is installed the test is skipped, and fails where CI is true."""
    program, driver = map(shutil.which, ("chromium", "chromedriver"))
    if program is None or driver is None:
        reason = f"no Chromium here: apt-get install {' '.join(FOR_PAGE)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = ChromeOptions()
    options.binary_location = program
    options.add_argument("--headless=new")
    options.add_argument("--disable-dev-shm-usage")  # containers give /dev/shm little
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # its sandbox refuses to be root's
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options, Service(driver))


def main() -> None:
    """Installs what is missing, as far as this machine lets us."""
    deps.ensure(FOR_PAGE, instead=INSTEAD)
    print(shutil.which("chromium"))


if __name__ == "__main__":
    try:
        main()
    except ClusterError as error:
        sys.exit(f"error: {error}")
