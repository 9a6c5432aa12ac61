"""`python -m tests.bench`: measures ours beside its peers; prints a table, writes it, the figures and a plot."""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.contenders import CONTENDERS, MODELS, OURS, ROUTED, Contender
from tests.bench.environments import PEERS, NotAvailable, environment, version
from tests.bench.report import table
from tests.bench.rounds import TURNS, Workshop, compare, measure
from tests.bench.summary import Rounds, bars


def main(arguments: list[str] | None = None) -> None:
    """Runs the bench."""
    options = _parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{contender.name:16} {contender.title}" for contender in CONTENDERS))
        return
    started, load_before = time.time(), os.getloadavg()
    contenders = [each for each in CONTENDERS if each.name in (OURS, *(options.peers or [each.name]))]
    rounds, missing = _measure(contenders, options.rounds, options.seconds)
    versions = {each.name: version(PEERS / each.folder, each.package) for each in contenders if each.package}
    machine = f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    loads = f"load average {load_before[0]:.1f} before, {os.getloadavg()[0]:.1f} after, the bench's own among it"
    text = f"{machine}; {loads}\n\n{table(rounds, versions, missing)}\n"
    print(f"\n{text}")
    results: dict[str, Any] = {
        "machine": machine,
        "load": loads,
        "started": started,
        "options": {"rounds": options.rounds, "seconds": options.seconds},
        "contenders": {
            each.name: {"name": each.name, "title": each.title, "version": versions.get(each.name)}
            | {"not_available": missing.get(each.name), "rounds": rounds[each.name]}
            for each in contenders
        },
        "bars": [asdict(bar) for bar in bars(rounds)],
    }
    _write(options.results, text, results)


def _measure(contenders: list[Contender], count: int, seconds: float) -> tuple[Rounds, dict[str, str]]:
    rounds: Rounds = {contender.name: [] for contender in contenders}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        workshop = Workshop(Path(folder))
        workshop.prepare()
        (ours,) = (contender for contender in contenders if contender.name == OURS)
        for number in range(count):
            for contender in contenders:
                if contender.name in missing:
                    continue
                try:
                    measured = measure(contender, workshop, seconds)
                    if contender.name in (ROUTED, MODELS):
                        measured[TURNS] = compare(contender, ours, workshop, 4 * seconds)
                except NotAvailable as reason:
                    missing[contender.name] = str(reason)
                    rounds[contender.name] = []
                    print(f"{contender.title}: not available: {reason}", flush=True)
                    continue
                rounds[contender.name].append(measured)
                rate = measured["sixteen"]["requests_per_second"]
                print(f"round {number + 1} of {count}: {rate:7.0f}/s {contender.title}", flush=True)
    return rounds, missing


def _write(folder: Path, text: str, results: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.txt").write_text(text)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plot = PEERS.parent / "plot"
    try:
        python = environment(plot, "3.11")
    except NotAvailable as reason:
        print(f"No plot: matplotlib {reason}")
        return
    subprocess.run([python, plot / "draw.py", folder / "results.json", folder / "plot.png"], check=True)
    print(f"Written: {folder}/table.txt, results.json and plot.png")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument(
        "--peers",
        type=_names(names),
        help=f"these alone, with commas between; ours is always among them: {', '.join(names)}",
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load in each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--results", type=Path, default=Path("build/bench"), help="a folder (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="show what can be measured")
    return parser


def _names(known: list[str]) -> Any:
    def names(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: unknown; there are {', '.join(known)}")
        return text.split(",")

    return names


if __name__ == "__main__":
    main()
