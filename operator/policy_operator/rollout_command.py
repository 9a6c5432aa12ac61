"""`policyserver rollout`: plays an environment with a policy; needs the client, which few servers have."""

import os
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from policy_operator.errors import PolicyOperatorError

if TYPE_CHECKING:  # loaded only when it is needed, as it takes its time
    from policy_client import Policy

KEY_VARIABLE = "POLICYSERVER_API_KEY"
Feedback = Literal["episode", "step"]


class RolloutFailed(PolicyOperatorError):
    """Episodes can't be played."""


def rollout(
    environment: Annotated[
        str,
        typer.Argument(
            metavar="ENV",
            help="A Gymnasium environment, such as CartPole-v1, or what makes a PettingZoo one, as"
            " mpe2.simple_spread_v3:parallel_env.",
        ),
    ],
    url: Annotated[str | None, typer.Option(help="The policy server's URL, as `policyserver up` prints it.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help=f"A file with its API key; without one, {KEY_VARIABLE} in the environment.")
    ] = None,
    local: Annotated[Path | None, typer.Option(metavar="BUNDLE", help="Run a bundle instead of a server.")] = None,
    random: Annotated[bool, typer.Option("--random", help="Act at random instead, for comparison.")] = False,
    episodes: Annotated[int, typer.Option(min=1, help="How many are played.")] = 1,
    feedback: Annotated[
        Feedback | None, typer.Option(help="With --url: tell the router what an episode, or each step, was worth.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Make the environment, and --random and --local, repeatable.")
    ] = None,
    out_csv: Annotated[Path | None, typer.Option(help="A file for a line for each step.")] = None,
    summary_csv: Annotated[Path | None, typer.Option(help="A file for a line for each episode.")] = None,
) -> None:
    """Play episodes of an environment with a policy, and show how many steps and how much reward there were.

    The policy gets the numbers of an observation in the environment's order, whatever the schema calls them.

    Example: `policyserver rollout CartPole-v1 --url http://localhost:8000/cartpole/ --episodes 10`
    """
    if sum([url is not None, local is not None, random]) != 1:
        raise RolloutFailed("who acts? Give one of --url, --local and --random")
    if feedback is not None and url is None:
        raise RolloutFailed("--feedback is for --url: nothing else learns")
    try:
        import gymnasium  # noqa: PLC0415 -- most commands don't need it

        from policy_client import GymnasiumSimulation, PettingZooSimulation, PolicyError  # noqa: PLC0415 -- as above
    except ImportError as error:
        raise RolloutFailed(f"{error}: pip install 'policyserver[client]' gymnasium") from None
    try:
        policy = _policy(url, api_key_file, local, seed, feedback)
        made = _made(environment)
        kind = GymnasiumSimulation if isinstance(made, gymnasium.Env) else PettingZooSimulation
        simulation = kind(made, seed=seed)
        with closing(made):
            simulation.run(policy, out_csv, summary_csv, episodes)
    except (PolicyError, gymnasium.error.Error, ImportError) as error:
        raise RolloutFailed(" ".join(str(error).split())) from None
    except OSError as error:
        raise RolloutFailed(f"{error.filename}: {error.strerror}") from None


def _made(environment: str) -> Any:
    """Returns an environment: what `module:attribute` makes, or Gymnasium's, whose names may have a module, too."""
    import gymnasium  # noqa: PLC0415 -- as above

    module, _, attribute = environment.partition(":")
    make = getattr(import_module(module), attribute, None) if module and attribute else None
    return make() if callable(make) else gymnasium.make(environment)


def _policy(
    url: str | None, api_key_file: Path | None, local: Path | None, seed: int | None, feedback: Feedback | None
) -> "Policy":
    from policy_client import Local, Random, Server  # noqa: PLC0415 -- as above

    if local is not None:
        return Local(local, seed)
    if url is None:
        return Random(seed)
    return Server(url, key_from(api_key_file), raw=True, feedback=feedback)


def key_from(file: Path | None) -> str | None:
    """Returns the API key of a file, or without one that of the environment, if any."""
    return os.environ.get(KEY_VARIABLE) if file is None else file.read_text().strip()
