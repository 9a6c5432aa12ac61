"""Where the records of training go: each of these gives a function that takes one record after the other.

A record says `trial`, and `update` and `mean_return` after each update; the last of a trial, `evaluated` and
`parameters`.
"""
# ruff: noqa: PLC0415 -- TensorBoard's files and MLflow are by choice, and take seconds to load

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

Record = dict[str, Any]
Write = Callable[[Record], None]


@contextmanager
def json_lines(stream: TextIO) -> Iterator[Write]:
    """Writes each record as a line of JSON, as Fluent Bit and its like ship it."""
    yield lambda record: print(json.dumps({"time": round(time.time(), 3)} | record), file=stream, flush=True)


@contextmanager
def tensorboard(folder: Path) -> Iterator[Write]:
    """Writes event files, one folder for each trial; TensorFlow does that without TensorBoard."""
    import tensorflow as tf

    # What tf.summary.scalar would say, which needs the package tensorboard.
    scalar = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class=1
    )
    writers: dict[str, Any] = {}

    def write(record: Record) -> None:
        trial = record["trial"]
        if trial not in writers:
            writers[trial] = tf.summary.create_file_writer(str(folder / trial))
        name = "evaluated" if "evaluated" in record else "mean_return"
        with writers[trial].as_default():
            tf.summary.write(name, tf.constant(record[name], tf.float32), record.get("update", 0), scalar)

    try:
        yield write
    finally:
        for writer in writers.values():
            writer.close()


@contextmanager
def mlflow(uri: str) -> Iterator[Write]:
    """Makes a run of the experiment `cartpole` for each trial, on the server or in the database of `uri`."""
    from mlflow import MlflowClient  # type: ignore[import-not-found]  # not installed where types are checked

    client = MlflowClient(uri)
    known = client.get_experiment_by_name("cartpole")
    experiment = known.experiment_id if known else client.create_experiment("cartpole")
    runs: dict[str, str] = {}

    def write(record: Record) -> None:
        trial = record["trial"]
        if trial not in runs:
            runs[trial] = client.create_run(experiment, run_name=trial).info.run_id
        if "evaluated" not in record:
            client.log_metric(runs[trial], "mean_return", record["mean_return"], step=record["update"])
            return
        for name, value in record["parameters"].items():
            client.log_param(runs[trial], name, value)
        client.log_metric(runs[trial], "evaluated", record["evaluated"])
        client.set_terminated(runs[trial])

    yield write
