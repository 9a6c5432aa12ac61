"""Trains a grid of networks for CartPole-v1 in parallel, and keeps the best and the two worst.

    python -m examples.cartpole.train --output build/cartpole       # a minute on two cores

The output holds each trial's `model.h5` below `trials/`, and `cartpole-0` (the worst), `cartpole-1` (the second worst)
and `cartpole-2` (the best), each with `model.h5` and the `bundle` made of it.
"""

import argparse
import json
import multiprocessing
import os
import queue
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path

from tqdm import tqdm

from examples.cartpole.tracking import Record, json_lines, mlflow, tensorboard
from examples.cartpole.trial import MODEL_FILE, Trial, train

LOOK_SECONDS = 1.0
"""How often is looked whether a process has failed."""
TENSORFLOW = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
"""Quiet, repeatable, and with one thread for each process: the networks are too small to share out."""


def grid(options: argparse.Namespace) -> list[Trial]:
    """Returns all trials; each has a seed of its own."""
    points = product(options.learning_rates, options.hidden, options.discounts)
    return [
        Trial(number, rate, hidden, discount, options.seed + number, options.target, options.updates)
        for number, (rate, hidden, discount) in enumerate(points)
    ]


def records(trials: list[Trial], folder: Path, processes: int) -> Iterator[Record]:
    """Trains everything in processes of their own, and gives their records as they come."""
    context = multiprocessing.get_context("spawn")  # TensorFlow doesn't survive a fork
    reports: multiprocessing.Queue[Record] = context.Queue()
    with ProcessPoolExecutor(processes, context, _remember, (reports,)) as pool:
        futures: list[Future[None]] = [pool.submit(_train, trial, folder / trial.name) for trial in trials]
        missing = len(trials)
        while missing:
            try:
                record = reports.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                for future in futures:
                    if future.done():
                        future.result()  # raises what went wrong there
                continue
            missing -= "evaluated" in record
            yield record


_REPORTS: "list[multiprocessing.Queue[Record]]" = []
"""Of this process: a queue can be handed over only where a process begins."""


def _remember(reports: "multiprocessing.Queue[Record]") -> None:
    _REPORTS.append(reports)


def _train(trial: Trial, folder: Path) -> None:
    train(trial, folder, _REPORTS[0].put)


def make_bundle(model: Path, bundle: Path) -> None:
    """Converts a network as `policyserver import` does; its outputs are the probabilities of two actions."""
    schema = model.with_name("schema.json")
    schema.write_text(json.dumps({"discrete": True}))
    options = ["--uri", "examples/cartpole/train.py", "--model-output", "Probabilities", "--schema", str(schema)]
    command = [sys.executable, "-m", "policy_server.importers", "convert", str(model), "--output", str(bundle)]
    subprocess.run([*command, *options], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Trains the grid and keeps three of its models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/cartpole"), help="default: %(default)s")
    parser.add_argument(
        "--learning-rates", type=float, nargs="+", default=[1e-6, 0.01, 0.03], help="default: %(default)s"
    )
    parser.add_argument("--hidden", type=int, nargs="+", default=[8, 32], help="units; default: %(default)s")
    parser.add_argument("--discounts", type=float, nargs="+", default=[0.98, 0.99], help="default: %(default)s")
    parser.add_argument("--target", type=float, default=490, help="steps at which a trial ends (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=60, help="at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--log", help="a file for the records as lines of JSON; - is standard output")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write event files for TensorBoard")
    parser.add_argument("--mlflow", metavar="URI", help="write runs to MLflow: http://SERVER:PORT or sqlite:///FILE")
    options = parser.parse_args()
    trials = grid(options)
    if len(trials) < 3:
        parser.error("the grid needs three trials or more: one to serve, two to compare with")
    os.environ |= TENSORFLOW
    options.output.mkdir(parents=True, exist_ok=True)
    evaluated: dict[str, float] = {}
    with ExitStack() as stack:
        log = sys.stdout
        if options.log != "-":
            log = stack.enter_context(Path(options.log or options.output / "metrics.jsonl").open("w"))
        writers = [stack.enter_context(json_lines(log))]
        if options.tensorboard:
            writers.append(stack.enter_context(tensorboard(options.tensorboard)))
        if options.mlflow:
            writers.append(stack.enter_context(mlflow(options.mlflow)))
        bar = stack.enter_context(tqdm(total=len(trials), unit="trial", disable=None))
        for record in records(trials, options.output / "trials", options.processes):
            for write in writers:
                write(record)
            if "evaluated" in record:
                evaluated[record["trial"]] = record["evaluated"]
                bar.update()
            bar.set_postfix(best=round(max(evaluated.values(), default=0)), now=round(record.get("mean_return", 0)))
    ranking = sorted(evaluated, key=lambda name: (evaluated[name], name))
    for name in ranking:
        print(f"{evaluated[name]:6.1f}  {name}", file=sys.stderr)
    for number, name in enumerate([*ranking[:2], ranking[-1]]):
        kept = options.output / f"cartpole-{number}"
        kept.mkdir(exist_ok=True)
        shutil.copyfile(options.output / "trials" / name / MODEL_FILE, kept / MODEL_FILE)
        make_bundle(kept / MODEL_FILE, kept / "bundle")


if __name__ == "__main__":
    main()
