"""The arguments of `python -m policy_server.importers`."""

import argparse
from pathlib import Path
from typing import NoReturn

from policy_server.config import ModelFormat, ModelOutput
from policy_server.errors import ImportFailed
from policy_server.importers.addresses import Addresses
from policy_server.importers.detect import SUPPORTED
from policy_server.importers.fetch import DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT
from policy_server.importers.isolation import DEFAULT_MAX_MEMORY

_EXAMPLES = """examples:
  python -m policy_server.importers fetch https://models.example/mouse/saved_model.zip --output fetched
  python -m policy_server.importers convert fetched/model --output bundle --config server.json
  python -m policy_server.importers import file:saved_model.zip --output bundle --schema schema.json
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ImportFailed(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """Returns what reads the arguments; `command` is which of them was asked for. It raises ImportFailed."""
    told = _Parser(
        prog="python -m policy_server.importers",
        description=f"Turns a trained policy into a bundle (policy.onnx and policy.json). Supported: {SUPPORTED}.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = told.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    fetch = commands.add_parser("fetch", help="bring a URI into a folder, convert nothing")
    fetch.add_argument(
        "uri", metavar="URI", help="a path, file:, http(s):, data:, s3:, gs:, hf:, pvc:, or any URI that fsspec opens"
    )
    fetch.add_argument("--output", type=Path, required=True, metavar="DIR", help="the result will be DIR/model")
    fetch.add_argument(
        "--pins", type=Path, metavar="DIR", help="refuse another digest than the one in DIR's file for the URI, if any"
    )
    fetch.add_argument("--sha256", metavar="DIGEST", help="refuse any other digest, whatever --pins says")
    fetch.add_argument(
        "--credentials",
        type=Path,
        metavar="DIR",
        help="take credentials from DIR's files, as those of a mounted Secret",
    )
    fetch.add_argument(
        "--addresses",
        type=Addresses,
        choices=list(Addresses),
        default=Addresses.ANY,
        help="connect to public addresses only, or to private ones too; then credentials come from --credentials alone",
    )
    fetch.add_argument("--volumes", type=Path, metavar="DIR", help="pvc://CLAIM/PATH is DIR/CLAIM/PATH")
    fetch.add_argument("--result", type=Path, metavar="FILE", help="write the line for standard output there, too")
    fetch.set_defaults(command="fetch")
    convert = commands.add_parser("convert", help="make a bundle of a fetched file or folder; needs no network")
    convert.add_argument("source", type=Path, metavar="SOURCE", help="a file or folder")
    convert.add_argument("--uri", help="where SOURCE came from, for the manifest")
    convert.add_argument("--result", type=Path, metavar="FILE", help="where --optional writes an error")
    for command in (fetch, convert):
        command.add_argument(
            "--optional",
            action="store_true",
            help='an error is a result, too: exit code 0, and {"error": …} in --result\'s FILE',
        )
    convert.set_defaults(command="convert")
    both = commands.add_parser("import", help="fetch and convert")
    both.add_argument("uri", metavar="URI", help="as of fetch")
    both.set_defaults(command="import")
    for command in (convert, both):
        command.add_argument("--output", type=Path, required=True, metavar="BUNDLE", help="the folder to write")
        known = command.add_mutually_exclusive_group()
        known.add_argument("--config", type=Path, metavar="FILE", help="a server's configuration, for its schema")
        known.add_argument("--schema", type=Path, metavar="FILE", help="a schema as JSON, to check")
        command.add_argument("--format", choices=[str(one) for one in ModelFormat], help="refuse any other format")
        command.add_argument(
            "--model-output",
            choices=[str(one) for one in ModelOutput],
            help="what the outputs of a model for one discrete action mean, where its format doesn't say",
        )
        command.add_argument(
            "--trust",
            action="store_true",
            help="run code that the model holds (pickles, Lambda layers), in a process that can't reach anything",
        )
        command.add_argument(
            "--max-memory",
            type=_positive,
            default=DEFAULT_MAX_MEMORY,
            metavar="N",
            help="the most bytes that converting may allocate (default: %(default)s)",
        )
        command.add_argument("--sha256", metavar="DIGEST", help="refuse a source with any other digest")
    for command in (fetch, convert, both):
        command.epilog, command.formatter_class = _EXAMPLES, argparse.RawDescriptionHelpFormatter
        command.add_argument(
            "--max-bytes",
            type=_positive,
            default=DEFAULT_MAX_BYTES,
            metavar="N",
            help="the most to fetch, and the most an archive may hold (default: %(default)s)",
        )
        command.add_argument(
            "--timeout",
            type=_seconds,
            default=DEFAULT_TIMEOUT,
            metavar="SECONDS",
            help="the limit of each step (default: %(default)g)",
        )
        command.add_argument("--verbose", action="store_true", help="show tracebacks and the frameworks' logs")
    return told


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _seconds(text: str) -> float:
    if not 0 < (number := float(text)) <= 7 * 24 * 3600:
        raise ValueError
    return number
