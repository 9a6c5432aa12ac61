"""What README and docs hold beside words: blocks, commands and links.

A fenced block of `sh` or `python` is run by the tests, in the order of its file; one that needs a cluster, or anything
else that isn't here, is indented, and only looked at. A block of `json` or `text` right after one that is run is what
that prints, numbers aside. One with the title `where you train` is run where PyTorch, Stable-Baselines3 and RLlib are.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import dropwhile, groupby
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
_ASSIGNMENT = re.compile(r"[A-Z0-9_]+=.*")
_TITLE = re.compile(r'title="(.*?)"')
_PLAIN = {"fence": "text", "code_block": "shell"}
_CONNECTORS = {"|", "||", "&&", "&", ";", ">", ">>", "<"}


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        file: where it stands.
        line: its first one there.
        end: the line after its last.
        language: as its fence says; text without, and shell where it is indented.
        text: what it holds.
        title: as its fence says.
    """

    file: Path
    line: int
    end: int
    language: str
    text: str
    title: str = ""

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def blocks(*files: Path) -> list[Block]:
    """Returns all blocks of some files, in their order."""
    return [
        Block(file, token.map[0] + 1, token.map[1] + 1, *_told(token))
        for file in files
        for token in _tokens(file)
        if token.type in _PLAIN and token.map
    ]


def _told(token: Token) -> tuple[str, str, str]:
    language, _, options = token.info.strip().partition(" ")
    title = _TITLE.search(options)
    return language or _PLAIN[token.type], token.content, title[1] if title else ""


def inline_code(file: Path) -> list[str]:
    """Returns the pieces of code within sentences."""
    return [token.content for token in _inline(file) if token.type == "code_inline"]


def links(file: Path) -> list[str]:
    """Returns where the links of a file lead."""
    return [str(token.attrs["href"]) for token in _inline(file) if token.type == "link_open"]


def anchors(file: Path) -> set[str]:
    """Returns the names that links may give to the headings of a file, as GitHub makes them."""
    tokens = _tokens(file)
    titles = (tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(text: str) -> Iterator[list[str]]:
    """Yields the words of each command in a block of shell; prompts, comments, results and variables are left out."""
    prompted = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    started = ""
    for line in prompted or text.replace("\\\n", " ").splitlines():
        started += f"{line}\n"
        try:
            words = shlex.split(started, comments=True)
        except ValueError:  # a quotation goes on
            continue
        started = ""
        for connected, group in groupby(words, _CONNECTORS.__contains__):
            command = list(dropwhile(_ASSIGNMENT.fullmatch, group))
            if command and not connected:
                yield command


@cache
def _tokens(file: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(file.read_text())


def _inline(file: Path) -> Iterator[Token]:
    for token in _tokens(file):
        yield from token.children or ()
