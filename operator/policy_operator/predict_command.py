"""`policyserver predict`: what a server, or a bundle without one, answers to one observation."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from policy_operator.bundles import answered
from policy_operator.errors import PolicyOperatorError
from policy_operator.output import Output, OutputOption, show
from policy_operator.rollout_command import KEY_VARIABLE, key_from


class PredictionFailed(PolicyOperatorError):
    """There is no answer."""


def predict(
    observation: Annotated[
        str,
        typer.Argument(
            help="JSON: an object, as the schema has it, or a list of the model's inputs; `-` reads standard input."
        ),
    ],
    url: Annotated[str | None, typer.Option(help="The policy server's URL, as `policyserver up` prints it.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help=f"A file with its API key; without one, {KEY_VARIABLE} in the environment.")
    ] = None,
    local: Annotated[Path | None, typer.Option(metavar="BUNDLE", help="Ask a bundle instead of a server.")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="With --local: take the most likely action.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="With --local: make the action repeatable.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask a running server, or a bundle, what to do for one observation.

    A bundle knows no names: an object's values are the model's inputs, in the order that they are given in.

    Examples: `policyserver predict '{"mouse_row": 0.2, …}' --url http://localhost:8000/api/v1`,
    `policyserver predict '[0, 0.1, 0, -0.2]' --local examples/cartpole/bundle`
    """
    if (url is None) == (local is None):
        raise PredictionFailed("who is asked? Give one of --url and --local")
    if url is not None and (deterministic or seed is not None):
        raise PredictionFailed("--deterministic and --seed are for --local: a server decides that for itself")
    try:
        given = json.loads(sys.stdin.read() if observation == "-" else observation)
    except ValueError as error:
        raise PredictionFailed(f"the observation is no JSON ({error}): give {{…}} or […], in quotes") from None
    if not isinstance(given, dict | list):
        raise PredictionFailed("the observation is neither an object {…} nor a list […] of numbers")
    if local is not None:
        options = ["--deterministic"] if deterministic else []
        options += [f"--seed={seed}"] if seed is not None else []
        show(answered(local, _numbers(given), *options), output)
    else:
        show(_asked(given, url or "", api_key_file), output)


def _numbers(given: Any) -> list[Any]:
    """Returns the values of an observation in one list; lists among them are spliced in."""
    values = given.values() if isinstance(given, dict) else given
    return [number for value in values for number in (value if isinstance(value, list) else [value])]


def _asked(given: Any, url: str, api_key_file: Path | None) -> dict[str, Any]:
    try:
        from policy_client import PolicyError, Server  # noqa: PLC0415 -- most commands don't need it
    except ImportError as error:
        raise PredictionFailed(f"{error}: pip install 'policyserver[client]'") from None
    raw = isinstance(given, list)
    try:
        with Server(url, key_from(api_key_file), raw=raw) as server:
            return server.predict({"obs": given} if raw else given)
    except PolicyError as error:
        raise PredictionFailed(" ".join(str(error).split())) from None
    except OSError as error:
        raise PredictionFailed(f"{error.filename}: {error.strerror}") from None
