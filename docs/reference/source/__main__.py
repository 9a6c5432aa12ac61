"""Writes the reference pages into a folder."""

import sys
from pathlib import Path

from docs.reference.source.command_lines import command_lines_page
from docs.reference.source.http_interface import http_page
from docs.reference.source.metrics import metrics_page
from docs.reference.source.resource import resource_page

_PAGES = {
    "policyserver.md": resource_page,
    "http.md": http_page,
    "command-line.md": command_lines_page,
    "metrics.md": metrics_page,
}


def main(folder: str) -> None:
    """Writes all of them."""
    for name, made in _PAGES.items():
        (Path(folder) / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
