"""What the rounds come to: medians with their range, ratios within each round, and the bars that ours should pass."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.contenders import BASE, CONTENDERS, MODELS, OURS, ROUTED
from tests.bench.rounds import TURNS, Measured

Rounds = dict[str, list[Measured]]
P99_BAR = 1.2
ROUTED_BAR = 0.95


@dataclass(frozen=True)
class Spread:
    """A median with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Returns the spread of some values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Bar:
    """Something that is promised, and how it stands; by processor time too, which a busy machine distorts less."""

    claim: str
    measured: Spread
    passed: bool
    by_cpu: Spread | None = None


def spread(rounds: list[Measured], load: str, figure: str) -> Spread:
    """Returns the spread of one figure over the rounds."""
    return Spread.of([measured[load][figure] for measured in rounds])


def ratio(rounds: Rounds, of: str, to: str, load: str, figure: str) -> Spread | None:
    """Returns how one's figure stands to another's, compared within each round; None where one was not measured."""
    if not rounds.get(of) or not rounds.get(to):
        return None
    pairs = zip(rounds[of], rounds[to], strict=False)
    return Spread.of([one[load][figure] / other[load][figure] for one, other in pairs])


def bars(rounds: Rounds) -> list[Bar]:
    """Returns all bars whose peers were measured."""
    found = []
    for ours, by in ((OURS, ""), (ROUTED, ", with a router")):
        for contender in CONTENDERS:
            measured = ratio(rounds, ours, contender.name, "sixteen", "requests_per_second")
            if contender.bar and measured:
                claim = f"at least {contender.bar:g}x the requests/s of {contender.title}{by}"
                by_cpu = ratio(rounds, contender.name, ours, "sixteen", "cpu_microseconds")
                found.append(Bar(claim, measured, measured.median >= contender.bar, by_cpu))
    for routed, models in ((ROUTED, "one model"), (MODELS, "three models")):
        if rounds.get(routed):
            claim = f"a router over three policies of {models}: at least {ROUTED_BAR:g}x the requests/s of one policy"
            measured = spread(rounds[routed], TURNS, "ratio")
            by_cpu = ratio(rounds, OURS, routed, "sixteen", "cpu_microseconds")
            found.append(Bar(claim, measured, measured.median >= ROUTED_BAR, by_cpu))
    if measured := ratio(rounds, OURS, BASE, "open", "p99"):
        claim = f"p99 at 1,000 requests/s at most {P99_BAR:g}x that of FastAPI, empty route"
        found.append(Bar(claim, measured, measured.median <= P99_BAR))
    return found


def worst(rounds: Rounds, figure: str, pick: Callable[[list[float]], float] = max) -> float:
    """Returns the greatest (or what `pick` picks) of a figure over everything."""
    values = [load.get(figure, 0.0) for each in rounds.values() for measured in each for load in measured.values()]
    return pick(values) if values else 0.0
