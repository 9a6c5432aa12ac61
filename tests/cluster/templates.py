"""The configuration files and manifests beside this module, with their $values filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

HERE = Path(__file__).parent


def render(file: str, values: Mapping[str, object]) -> str:
    """The text of `configuration/…` or `manifests/…`; a value that is missing is an error."""
    return Template((HERE / file).read_text()).substitute(values)
