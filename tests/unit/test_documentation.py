import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from policy_operator.api import parse
from policy_operator.cli import app
from tests.documentation import FILES, ROOT, Block, anchors, blocks, commands, inline_code, links

BLOCKS = blocks(*FILES)
SPEC = {
    "schema": {"observations": [{"name": "a", "type": "float"}]},
    "auth": "none",
    "policies": [
        {"name": "old", "modelUri": "https://models.example/old.zip"},
        {"name": "new", "modelUri": "https://models.example/new.zip"},
    ],
    "router": {"mode": "EpsilonGreedy"},
}
"""What pieces of specs in the docs are pieces of."""
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))


def described_by(chosen: Callable[[Block], bool]) -> pytest.MarkDecorator:
    """Returns a mark for a test of each of some blocks."""
    return pytest.mark.parametrize("block", [block for block in BLOCKS if chosen(block)], ids=str)


def kinds(block: Block) -> set[str]:
    """Returns the kinds of what a block of YAML holds; those without are pieces of a spec."""
    documents = yaml.safe_load_all(block.text) if block.language == "yaml" else ()
    return {document.get("kind", "piece") for document in documents}


@described_by(lambda block: "PolicyServer" in kinds(block))
def test_every_manifest_can_be_rendered(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "policyserver.yaml"
    file.write_text(block.text)
    done = CliRunner().invoke(app, ["render", str(file)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "kind: Deployment" in done.output


@described_by(lambda block: "piece" in kinds(block))
def test_every_piece_of_a_manifest_is_valid(block: Block) -> None:
    specification = SPEC | yaml.safe_load(block.text)
    head = {"apiVersion": "policyserver.io/v1alpha1", "kind": "PolicyServer", "metadata": {"name": "piece"}}
    assert parse(head | {"spec": specification}).spec.router


@described_by(lambda block: block.language == "json")
def test_every_json_in_the_docs_is_json(block: Block) -> None:
    text = block.text
    while text:
        _, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].lstrip()


@described_by(lambda block: block.language == "python")
def test_every_program_in_the_docs_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@described_by(lambda block: block.language in {"sh", "shell"})
def test_commands_in_the_docs_have_the_options_that_they_are_given(block: Block) -> None:
    for words in commands(block.text):
        if words[0] == "policyserver":
            command, rest = subcommand(words[1:])
            command.make_context(words[-1], rest)
        elif words[0] == "make":
            targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
            assert {word for word in words[1:] if "=" not in word} <= targets
        elif words[0].startswith("python") and words[1] == "-m":
            assert importlib.util.find_spec(words[2])
        for word in words[1:]:
            if word.startswith(("manifests/", "helm/", "crds", "examples/", "Dockerfile")):
                assert (ROOT / word).exists(), word


@every_file
def test_commands_within_sentences_have_the_options_that_they_are_given(file: Path) -> None:
    for code in inline_code(file):
        for words in commands(code) if code.startswith("policyserver ") else ():
            if words[0] != "policyserver":
                continue
            command, rest = subcommand(words[1:])
            known = {name for parameter in command.params for name in parameter.opts}
            assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known, code


def subcommand(words: list[str]) -> tuple[Any, list[str]]:
    """Returns the command that some words name, and what is left of them."""
    command: Any = get_command(app)
    while isinstance(command, typer.core.TyperGroup) and words and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    return command, words


@every_file
def test_links_lead_somewhere(file: Path) -> None:
    for link in links(file):
        if re.match(r"[a-z]+:", link):
            assert re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]+(/[^\s()]*)?", link), link
            continue
        path, _, name = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        assert not name or name in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, found = {ROOT / "README.md"}, [ROOT / "README.md"]
    while found:
        file = found.pop()
        for link in links(file):
            target = (file.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in reached:
                reached.add(target)
                found.append(target)
    assert set((ROOT / "docs").rglob("*.md")) <= reached
