"""What engine RayServe does with policies of more or less work, beside InProcess: `python -m tests.bench.engines`.

Throughput is measured in a closed loop of a few connections, of one process with policies in it, and of one whose
policy has replicas of Ray, on all cores of this machine. It prints where Ray costs next to nothing, and draws it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from policy_server.bundle import Categorical
from policy_server.policy import Policy
from tests.bench.engines_plot import svg
from tests.bench.load import Load
from tests.models import write_model_bundle
from tests.server_process import OBSERVATION, Server

MILLISECONDS = (0.05, 0.5, 2, 5, 10, 20, 50, 100, 200)
"""How long inferences take that are tried."""
CONNECTIONS = 8
NEARLY = 0.95
"""The part of the other engine's throughput from which one engine costs next to nothing."""
ENGINES: Mapping[str, dict[str, Any]] = {
    "InProcess": {},
    "RayServe, 1 replica": {"ray": {"scaling": {"replicas": 1}}},
    "RayServe, 2 replicas": {"ray": {"scaling": {"replicas": 2}}},
}
_TRIED = 20

Points = dict[float, float]
"""Requests per second by the milliseconds that an inference takes."""


def laborious_model(multiplications: int, side: int) -> bytes:
    """Returns ONNX of three observations, each row of which costs some multiplications of matrices of its own.

    So many rows at a time are as much work as one after the other, and two cores do twice as much as one.
    """
    random = np.random.default_rng(7)
    constants = {
        "spread": random.normal(size=(3, side * side)).astype(np.float32),
        "shape": np.array([-1, side, side], np.int64),
        "square": (random.normal(size=(side, side)) / side**0.5).astype(np.float32),
        "weights": random.normal(size=(side, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["observations", "spread"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["product_0"]),
    ]
    for index in range(multiplications):
        nodes.append(helper.make_node("MatMul", [f"product_{index}", "square"], [f"sum_{index}"]))
        nodes.append(helper.make_node("Tanh", [f"sum_{index}"], [f"product_{index + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"product_{multiplications}"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["distribution_parameters"]),
    ]
    graph = helper.make_graph(
        nodes,
        "laborious",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("distribution_parameters", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_laborious_bundle(folder: Path, milliseconds: float) -> Path:
    """Writes a policy whose inference takes about so long on this machine."""
    side = 32 if milliseconds < 2 else 256  # many small ones would take ONNX Runtime minutes to load
    tried = write_model_bundle(folder / "tried", laborious_model(_TRIED, side), Categorical(size=2))
    each = 1000 * Policy.load(tried).seconds / _TRIED
    number = max(1, round(milliseconds / each))
    return write_model_bundle(folder / "bundle", laborious_model(number, side), Categorical(size=2))


@contextmanager
def served(bundle: Path, told: Mapping[str, Any]) -> Any:
    """Serves a bundle by an engine; yields the server."""
    with (
        tempfile.TemporaryDirectory(prefix="engine") as folder,
        Server(Path(folder), "--drain-seconds=0", bundle=bundle, **told) as server,
    ):
        yield server
        server.process.terminate()
        server.process.wait(60)


def rate(server: Server, seconds: float, connections: int = CONNECTIONS) -> float:
    """Returns the answers per second in a closed loop; raises where one isn't an answer."""
    headers = f"Host: bench\r\nContent-Type: application/json\r\nContent-Length: {len(OBSERVATION)}"
    request = f"POST /predict/ HTTP/1.1\r\n{headers}\r\n\r\n{OBSERVATION}"
    load = Load(server.port, request, connections, seconds)
    command = [sys.executable, "-m", "tests.bench.load", json.dumps(asdict(load))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    figures = json.loads(done.stdout)
    if figures["failed"]:
        raise RuntimeError(f"{figures['failed']} requests failed")
    return float(figures["requests_per_second"])


def break_even(one: Points, other: Points) -> float | None:
    """Returns the least inference time from which `other` is always nearly as fast as `one`; None: never."""
    found = None
    for milliseconds in sorted(one, reverse=True):
        if other[milliseconds] < NEARLY * one[milliseconds]:
            break
        found = milliseconds
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and draws."""
    options = _parser().parse_args(arguments)
    curves: dict[str, Points] = {name: {} for name in ENGINES}
    for milliseconds in options.milliseconds:
        with tempfile.TemporaryDirectory(prefix="engine") as folder:
            bundle = write_laborious_bundle(Path(folder), milliseconds)
            took = 1000 * Policy.load(bundle).seconds
            for name, told in ENGINES.items():
                with served(bundle, told) as server:
                    curves[name][took] = rate(server, max(options.seconds, 20 * took / 1000))
                print(f"{took:8.3f} ms  {curves[name][took]:8.1f}/s  {name}", flush=True)
    in_process, *others = curves
    base, most = curves[in_process], curves[others[-1]]
    even = break_even(base, most)
    if even is None:
        best = max(base, key=lambda took: most[took] / base[took])
        print(f"{others[-1]} is nowhere even: at most {most[best] / base[best]:.0%} of {in_process}, at {best:.3g} ms")
    else:
        print(f"{others[-1]} is even with {in_process} ({NEARLY:.0%} or more) from {even:.3g} ms on")
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "engines.json").write_text(json.dumps(curves, indent=1) + "\n")
    (options.results / "engines.svg").write_text(svg(in_process, base, {name: curves[name] for name in others}, NEARLY))
    print(f"Written: {options.results}/engines.json and engines.svg")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engines", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load, at least (default: %(default)s)")
    parser.add_argument("--milliseconds", type=float, nargs="+", default=MILLISECONDS, help="of inferences")
    parser.add_argument("--results", type=Path, default=Path("build/bench"), help="a folder (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
