"""`python -m policy_server.inspection`: what a bundle holds, and what it answers, without serving it.

`policyserver inspect` and `policyserver predict --local` run it. It prints one JSON document, or a line `error: …` and
ends with exit code 2.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.bundle import MODEL_FILE
from policy_server.config import PolicyConfig, Schema, ServerConfig
from policy_server.engine import Engine
from policy_server.errors import NotOffered, ObservationError, PolicyServerError
from policy_server.policy import Policy


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m policy_server.inspection", description="Looks into a bundle.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a folder that an importer wrote")
    parser.add_argument("--answer", action="store_true", help="answer the list of numbers on standard input, JSON")
    parser.add_argument("--deterministic", action="store_true", help="take the most likely action")
    parser.add_argument("--seed", type=int, help="make the action repeatable")
    options = parser.parse_args(arguments)
    try:
        policy = Policy.load(options.bundle)
        if options.answer:
            numbers = _numbers(sys.stdin.read(), policy.manifest.observation_size)
            said = answer(policy, numbers, deterministic=options.deterministic, seed=options.seed)
        else:
            said = description(options.bundle, policy)
    except PolicyServerError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(json.dumps(said))
    return 0


def description(bundle: Path, policy: Policy) -> dict[str, Any]:
    """Returns a bundle's manifest, its digests checked, with the size of its model and the time that it takes."""
    distribution = policy.manifest.distribution
    return policy.manifest.model_dump(mode="json", by_alias=True) | {
        "discrete": not distribution.continuous,
        "tuple": not (distribution.continuous or distribution.single),
        "modelBytes": (bundle / MODEL_FILE).stat().st_size,
        "inferenceSeconds": policy.seconds,
    }


def answer(
    policy: Policy, observation: Sequence[float], *, deterministic: bool = False, seed: int | None = None
) -> dict[str, Any]:
    """Returns what `/predict_raw/` would answer, and each action's probability where they can be listed.

    Args:
        policy: what answers.
        observation: the model's inputs, in its order; of a recurrent one, the first of an episode.
        deterministic: whether the most likely action is taken.
        seed: makes the action repeatable.

    Raises:
        ObservationError: these are no inputs of the model.
        InferenceFailed: the model gave no usable answer.
    """
    config = ServerConfig(
        name="local",
        url_path="local",
        observation_schema=Schema(discrete=not policy.manifest.distribution.continuous),
        policies=[PolicyConfig(name="local", bundle=Path())],
        auth="none",
        seed=seed,
    )
    engine = Engine(config, "local", policy, np.random.default_rng(seed))
    vector = engine.matrix([observation])
    decision = engine.predict(vector, deterministic=deterministic)
    answered: dict[str, Any] = {"actions": decision.actions, "probability": decision.probability}
    with suppress(NotOffered):
        answered["distribution"] = engine.distribution(vector)
    return answered


def _numbers(text: str, size: int) -> list[Any]:
    """Returns what the text holds; the engine tells whether these are numbers."""
    try:
        numbers = json.loads(text)
    except ValueError:
        numbers = None
    if not isinstance(numbers, list) or len(numbers) != size:
        raise ObservationError(f"give the model's inputs as a JSON list of {size} numbers")
    return numbers


if __name__ == "__main__":
    sys.exit(main())
