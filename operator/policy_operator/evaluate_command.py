"""`policyserver evaluate` and `policyserver log`: what decision logs say, by processes of the server's package."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from policy_operator.server_programs import run_program

log_app = typer.Typer(help="Work with decision logs.", no_args_is_help=True)


class EpisodeReturn(StrEnum):
    """What the rewards of an episode come to."""

    SUM = "sum"
    MEAN = "mean"
    LAST = "last"


class Output(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


Logs = Annotated[
    list[str],
    typer.Argument(metavar="LOG…", help="Decision logs, plain or gzip, in any order; `-` for stdin."),
]
Name = Annotated[
    str | None, typer.Option("--policyserver", metavar="NAME", help="The PolicyServer, where the log has several.")
]
DefaultReward = Annotated[
    float | None,
    typer.Option(metavar="REWARD", help="The reward of what has none; without it, that is left out."),
]
Wait = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="After how long without a line an episode is over, unless feedback ended it."),
]


def evaluate(
    logs: Logs,
    mix: Annotated[
        list[str] | None,
        typer.Option(metavar="a=0.5,b=0.5", help="Shares of policies to be valued, too; may be given again."),
    ] = None,
    episode_return: Annotated[
        EpisodeReturn, typer.Option(help="What the rewards of an episode come to.")
    ] = EpisodeReturn.SUM,
    default_reward: DefaultReward = None,
    wait: Wait = 600,
    least_propensity: Annotated[
        float, typer.Option(help="What a policy was drawn for less often than this says nothing of it.")
    ] = 0.01,
    policyserver: Name = None,
    output: Annotated[Output, typer.Option(help="How values are printed.")] = Output.TABLE,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw them, too.")] = None,
) -> None:
    """Estimate from decision logs what each policy, and any fixed mix of them, would earn, with 95 % intervals.

    A unit is an episode with its return, or a decision alone with its reward. It counts the more, the less likely its
    policy was to be drawn for it, which the log says: IPS, and SNIPS, whose weights sum to 1. DR also predicts rewards
    from first observations. n_eff is the effective sample size. What the log can't tell is refused with the reason, and
    the exit code is then 2. Episodes that go on, were moved, or have a fallback's answer are left out and counted.

    Example: `kubectl logs -l app.kubernetes.io/instance=mouse --tail=-1 | policyserver evaluate - --mix a=0.9,b=0.1`
    """
    options = [f"--mix={each}" for each in mix or []]
    options += [f"--episode-return={episode_return}", f"--least-propensity={least_propensity}", f"--output={output}"]
    options += [f"--plot={plot}"] if plot else []
    _run("evaluate", options, logs, policyserver, default_reward, wait)


@log_app.command("to-rllib")
def to_rllib(
    logs: Logs,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the result.")],
    default_reward: DefaultReward = None,
    wait: Wait = 600,
    policyserver: Name = None,
) -> None:
    """Write the episodes of decision logs as RLlib reads them for offline learning: JSON SampleBatches.

    In RLlib, give the folder as input_, and in its new API stack also input_read_method="read_json" and
    input_read_sample_batches=True.

    Example: `policyserver log to-rllib decisions.jsonl -o episodes/`
    """
    _run("to-rllib", [f"--output={output}"], logs, policyserver, default_reward, wait)


def _run(
    command: str, options: list[str], logs: list[str], policyserver: str | None, default: float | None, wait: float
) -> None:
    options += [f"--wait={wait}"]
    options += [f"--policyserver={policyserver}"] if policyserver is not None else []
    options += [f"--default-reward={default}"] if default is not None else []
    run_program("evaluation", command, *options, "--", *logs, captured=False)
