"""How commands print a result."""

import json
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from policy_operator.kubernetes_yaml import dump


class Output(StrEnum):
    """The forms of a result."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How the result is printed.")]


def show(document: Mapping[str, Any], output: Output) -> None:
    """Prints a result on standard output; a table has a line for each value that isn't null or empty."""
    match output:
        case Output.JSON:
            print(json.dumps(document, indent=2))
        case Output.YAML:
            sys.stdout.write(dump([document]))
        case Output.TABLE:
            print(table(list(_lines(document))))


def table(rows: list[list[str]]) -> str:
    """Returns rows as text, with columns as wide as their widest cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _lines(document: Mapping[str, Any], above: str = "") -> Iterator[list[str]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _lines(value, f"{above}{name}.")
        elif value is not None and value != []:
            yield [f"{above}{name}", value if isinstance(value, str) else json.dumps(value)]
