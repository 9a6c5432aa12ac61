"""The command lines, as typer documents them."""

import re

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from docs.reference.source.markdown import page
from policy_operator.__main__ import app as policy_operator
from policy_operator.cli import app as policyserver

_PREAMBLE = """
`policyserver` is for people, `policy-operator` is what the operator's pods run. Each command has `--help`.

| exit code | when |
|---|---|
| 0 | done |
| 1 | a bug, with a traceback |
| 2 | what was given can't be used, or the cluster isn't prepared; lines `error: …` on standard error say what to do |
| 130 | interrupted |

The environment variable `POLICYSERVER_API_KEY` holds the key that `predict` and `rollout` send.
"""
# Lists of commands, whose descriptions typer cuts short; each has a section of its own.
_COMMANDS = re.compile(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n?")


def command_lines_page() -> str:
    """Returns the page."""
    parts = [_documented("policyserver", policyserver), _documented("policy-operator", policy_operator)]
    return page("The command lines", "the commands of operator/policy_operator", _PREAMBLE, *parts)


def _documented(name: str, app: typer.Typer) -> str:
    command = get_command(app)
    context = typer.Context(command, info_name=name)
    text = get_docs_for_click(obj=command, ctx=context, name=name, indent=1)
    return _COMMANDS.sub("", text).replace("```console", "```text")
