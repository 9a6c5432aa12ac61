"""`python -m policy_server.evaluation`: what `policyserver evaluate` and `policyserver log to-rllib` run."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from math import isclose, isfinite
from pathlib import Path
from typing import NoReturn

from policy_server.errors import PolicyServerError
from policy_server.evaluation import journal, plot, rllib
from policy_server.evaluation.episodes import Episode, EpisodeReturn, ended, episodes
from policy_server.evaluation.errors import EvaluationRefused
from policy_server.evaluation.estimates import LEAST_PROPENSITY, evaluation, logged
from policy_server.evaluation.report import Report
from policy_server.evaluation.rewards import predicted_rewards
from policy_server.evaluation.units import units

Mix = dict[str, float]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise EvaluationRefused(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 with a line `error: …` on stderr for each thing that the log can't tell."""
    try:
        options = _parser().parse_args(arguments)
        refused: list[str] = options.run(options)
    except KeyboardInterrupt:
        return 130
    except PolicyServerError as error:
        refused = [str(error)]
    for each in refused:
        _say(f"error: {each}")
    return 2 if refused else 0


def evaluate(options: argparse.Namespace) -> list[str]:
    """Prints the values; returns what was refused."""
    if options.plot and options.plot.suffix != ".svg":
        raise EvaluationRefused(f"--plot {options.plot}: the plot is an SVG: name it so, {options.plot.stem}.svg")
    read, over, left_out = _episodes(options)
    found = units(over, options.episode_return, options.default_reward, left_out)
    predicted = predicted_rewards(found)
    targets = {arm: {arm: 1.0} for arm in found.arms} | dict(_checked(mix, found.arms) for mix in options.mix)
    evaluations = [
        logged(found),
        *(evaluation(name, mix, found, predicted, options.least_propensity) for name, mix in targets.items()),
    ]
    report = Report(found, evaluations, read.counts, left_out)
    for warning in report.warnings:
        _say(f"warning: {warning}")
    print(report.json() if options.output == "json" else report.table())
    if options.plot:
        try:
            options.plot.write_text(plot.svg(evaluations))
        except OSError as error:
            raise EvaluationRefused(f"--plot {error.filename}: {error.strerror}") from None
    return report.refused


def to_rllib(options: argparse.Namespace) -> list[str]:
    """Writes what RLlib reads; nothing is refused."""
    _, over, left_out = _episodes(options)
    number = rllib.write(over, options.output, options.default_reward, left_out)
    missing = "".join(f"; {many:,} left out: {reason}" for reason, many in left_out.items() if many)
    print(f"{options.output / rllib.FILE}: {number:,} episodes{missing}")
    return []


def _episodes(options: argparse.Namespace) -> tuple[journal.Journal, list[Episode], Counter[str]]:
    """Returns the log, its episodes that are over, and what was left out."""
    read = journal.read(options.logs).of(options.policyserver)
    left_out: Counter[str] = Counter()
    return read, ended(episodes(read, read.counts), read.end, options.wait, left_out), left_out


def _checked(mix: tuple[str, Mix], arms: Sequence[str]) -> tuple[str, Mix]:
    name, shares = mix
    if unknown := sorted(set(shares) - set(arms)):
        raise EvaluationRefused(f"--mix {name}: the log knows {', '.join(arms)}, and not {', '.join(unknown)}")
    return mix


def _mix(text: str) -> tuple[str, Mix]:
    pairs = [part.split("=", 1) for part in text.split(",")]
    try:
        shares = {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        shares = {}
    if not shares or len(shares) < len(pairs) or min(shares.values()) < 0 or not isclose(sum(shares.values()), 1):
        raise argparse.ArgumentTypeError(f"{text}: write the policies' shares, which sum to 1, as in a=0.5,b=0.5")
    return text, shares


def _parser() -> _Parser:
    parser = _Parser(prog="python -m policy_server.evaluation", description="Reads decision logs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    valued = commands.add_parser("evaluate", help="print what each policy, and any mix, would have earned")
    valued.add_argument("--mix", type=_mix, action="append", default=[], metavar="a=0.5,b=0.5")
    valued.add_argument("--episode-return", type=EpisodeReturn, choices=list(EpisodeReturn), default=EpisodeReturn.SUM)
    valued.add_argument("--least-propensity", type=_probability, default=LEAST_PROPENSITY)
    valued.add_argument("--output", choices=["table", "json"], default="table")
    valued.add_argument("--plot", type=Path, metavar="FILE.svg")
    valued.set_defaults(run=evaluate)
    converted = commands.add_parser("to-rllib", help="write what RLlib's offline readers take")
    converted.add_argument("--output", type=Path, required=True, metavar="DIR")
    converted.set_defaults(run=to_rllib)
    for command in (valued, converted):
        command.add_argument("logs", nargs="+", metavar="LOG", help="files, plain or gzip; - for standard input")
        command.add_argument("--policyserver", metavar="NAME")
        command.add_argument("--default-reward", type=_finite, metavar="REWARD")
        command.add_argument("--wait", type=_finite, default=600.0, metavar="SECONDS")
    return parser


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError
    return number


def _probability(text: str) -> float:
    if not 0 < (number := float(text)) <= 1:
        raise ValueError
    return number


def _say(line: str) -> None:
    # What a log holds may be in it, and a terminal obeys control characters.
    print("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
