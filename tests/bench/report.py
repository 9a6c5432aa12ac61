"""The table that is printed."""

import statistics

from tests.bench.contenders import BASE, CONTENDERS
from tests.bench.summary import Bar, Rounds, Spread, bars, ratio, spread, worst

NAME = 42
HEAD = (
    f"{'':{NAME}} {'16 connections':^44} {'1 connection':^22} {'open, 1,000/s':^15}  CPU/req\n"
    f"{'':{NAME}} {'req/s':>7} {'(min-max)':>15}  {'x FastAPI':>9}  {'p99 ms':>7}"
    f"   {'req/s':>7} {'p50':>6} {'p99':>6}  {'p50':>6} {'p99':>8}  {'us':>7}"
)


def table(rounds: Rounds, versions: dict[str, str], missing: dict[str, str]) -> str:
    """Returns all figures, and what they are to be read with."""
    lines = [HEAD]
    for contender in CONTENDERS:
        title = f"{contender.title} {versions.get(contender.name, '')}".strip()[:NAME]
        if rounds.get(contender.name):
            lines.append(f"{title:{NAME}} {_row(rounds, contender.name)}")
        elif contender.name in missing:
            lines.append(f"{title:{NAME}} not available: {missing[contender.name]}")
    return "\n".join([*lines, "", *_notes(rounds), "", *(_bar(bar) for bar in bars(rounds))])


def _row(rounds: Rounds, name: str) -> str:
    own = rounds[name]
    rate, single = (spread(own, load, "requests_per_second") for load in ("sixteen", "one"))
    to_base = ratio(rounds, name, BASE, "sixteen", "requests_per_second")
    late = spread(own, "open", "unanswered").median > 0
    waited = f"{spread(own, 'open', 'p50').median:6.2f} {spread(own, 'open', 'p99').median:8.2f}"
    return (
        f"{rate.median:7.0f} {_range(rate, 0):>15}  {to_base.median if to_base else float('nan'):9.2f}"
        f"  {spread(own, 'sixteen', 'p99').median:7.2f}   {single.median:7.0f}"
        f" {spread(own, 'one', 'p50').median:6.2f} {spread(own, 'one', 'p99').median:6.2f}"
        f"  {'can not keep up' if late else waited}  {spread(own, 'sixteen', 'cpu_microseconds').median:7.0f}"
    )


def _bar(bar: Bar) -> str:
    by_cpu = f"; by processor time per request {bar.by_cpu.median:.2f}" if bar.by_cpu else ""
    return (
        f"{'pass' if bar.passed else 'MISS'}  {bar.claim}: {bar.measured.median:.2f} {_range(bar.measured, 2)}{by_cpu}"
    )


def _range(spread_: Spread, digits: int) -> str:
    return f"({spread_.least:.{digits}f}-{spread_.greatest:.{digits}f})"


def _notes(rounds: Rounds) -> list[str]:
    generator = worst(rounds, "generator_share")
    median, most = worst(rounds, "others_share", statistics.median), worst(rounds, "others_share")
    return [
        f"Medians of {max(map(len, rounds.values()), default=0)} rounds; ratios are taken within each round.",
        f"The load generator was busy for at most {generator:.0%} of the time"
        + (": it limits the fastest." if generator > 0.9 else ", so it limits none."),
        f"Others took {median:.0%} of the servers' core (at worst {most:.0%})"
        + (": measure again on a quiet machine." if median > 0.05 else "."),
    ]
