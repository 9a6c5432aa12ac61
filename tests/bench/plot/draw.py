"""Draws results.json as a PNG; runs in an environment of its own, which has matplotlib."""
# mypy, which runs in another, knows nothing of it.
# mypy: ignore-errors

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw(results: Path, image: Path) -> None:
    """Draws requests per second with 16 connections, and the 99th percentile at 1,000 requests per second."""
    contenders = [each for each in json.loads(results.read_text())["contenders"].values() if each["rounds"]]
    contenders.sort(key=lambda each: _median(each, "sixteen", "requests_per_second"))
    titles = [each["title"] for each in contenders]
    colors = ["#1a73e8" if each["name"] == "ours" else "#9aa0a6" for each in contenders]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 1 + 0.42 * len(titles)), sharey=True)
    for axes, load, name in ((left, "sixteen", "requests_per_second"), (right, "open", "p99")):
        medians = [_median(each, load, name) for each in contenders]
        ranges = [[measured[load][name] for measured in each["rounds"]] for each in contenders]
        below = [median - min(values) for median, values in zip(medians, ranges, strict=True)]
        above = [max(values) - median for median, values in zip(medians, ranges, strict=True)]
        axes.barh(titles, medians, xerr=[below, above], color=colors, error_kw={"lw": 1, "capsize": 2})
        axes.spines[["top", "right"]].set_visible(False)
    left.set_xlabel("requests/s, 16 connections, one core")
    right.set_xscale("log")
    right.set_xlabel("p99 in ms at 1,000 requests/s, open loop")
    figure.tight_layout()
    figure.savefig(image, dpi=150)


def _median(contender: dict, load: str, figure: str) -> float:
    return statistics.median(measured[load][figure] for measured in contender["rounds"])


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
