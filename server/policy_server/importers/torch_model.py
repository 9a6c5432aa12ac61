"""Writes modules of PyTorch as ONNX. PyTorch is imported when asked to, not before."""
# ruff: noqa: PLC0415  # importing PyTorch takes seconds, and the serving image has none

import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np

from policy_server.bundle import State
from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model
from policy_server.importers.agreement import INPUT, OUTPUT, Array, require_close, require_same
from policy_server.importers.formats import remedy

OPSET = 18
"""Every onnxruntime since 1.14 runs it; it is also what PyTorch's exporter writes without translating."""


def import_torch(extra: str = "torch") -> Any:
    """Returns the package `torch`, without GPUs and with one thread.

    Raises:
        ImportFailed: it, or what writes ONNX, isn't installed; `extra` is what would install it.
    """
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        import onnx  # noqa: F401  # the same remedy where it is missing
        import onnxscript  # noqa: F401  # the same remedy where it is missing
        import torch
    except ImportError as error:
        raise ImportFailed(f"a model of PyTorch needs torch, onnx and onnxscript ({error}): {remedy(extra)}") from error
    torch.set_num_threads(1)
    return torch


def tools(*packages: str) -> str:
    """Returns the packages with their versions, PyTorch first, as `Imported.tools` has them."""
    return ", ".join(f"{package} {version(package)}" for package in ("torch", *packages))


def module_of(function: Callable[[Any], Any], *parts: Any) -> Any:
    """Returns a `torch.nn.Module` that does what `function` does, and has the modules that it calls for its parts."""
    torch = import_torch()

    class Policy(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch isn't installed where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(parts)
            self.training = False  # and not by eval(): programs of torch.export refuse that

        def forward(self, observations: Any) -> Any:
            return function(observations)

    return Policy()


def first_output(module: Any) -> Any:
    """Returns a module of the one output that counts: the only one, or the first of a tuple."""

    def first(observations: Any) -> Any:
        given = module(observations)
        return given[0] if isinstance(given, tuple | list) else given

    return module_of(first, module)


def to_onnx(module: Any, observations: Array, state: Sequence[State] = ()) -> bytes:
    """Returns the module as ONNX, which answers `observations` as the module does.

    Args:
        module: a `torch.nn.Module` in evaluation mode, from float32 observations `(n, size)` to parameters `(n, m)`.
        observations: what it is checked with, float32 `(k, size)`, k at least 2.
        state: the memory of a recurrent policy, whose module also takes each tensor of it, `forward(self, observations,
            *memory)`, and returns the next ones after the parameters.

    Raises:
        ImportFailed: it can't be written as ONNX, or answers differently then.
    """
    torch = import_torch()
    random = np.random.default_rng(0)
    memory = [random.uniform(-1, 1, (len(observations), *one.shape)).astype(np.float32) for one in state]
    answer = answers(module, observations, *memory)
    batch = {0: torch.export.Dim("batch")}
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                tuple(map(torch.from_numpy, (observations, *memory))),
                dynamo=True,  # TorchScript is deprecated
                opset_version=OPSET,
                input_names=[INPUT, *(one.input for one in state)],
                output_names=[OUTPUT, *(one.output for one in state)],
                dynamic_shapes=(batch, (batch,) * len(state)) if state else (batch,),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # PyTorch raises anything, mostly for operations that it doesn't know
        raise ImportFailed(f"PyTorch can't write the policy as ONNX: {first_line(error)}") from error
    model = _without_traces(program.model_proto)
    loaded = onnx_model.load(model, state)
    inputs = {INPUT: observations} | {one.input: part for one, part in zip(state, memory, strict=True)}
    ours = loaded.session.run([OUTPUT, *(one.output for one in state)], inputs)
    require_close(_in_rows(ours), answer, "PyTorch")
    return model


def script_to_onnx(module: Any, observations: Array) -> bytes:
    """Returns the first output of a `torch.jit.ScriptModule` as ONNX; otherwise as `to_onnx`.

    The exporter of TorchScript is deprecated, as TorchScript is; the new one takes no scripts.
    """
    torch = import_torch()
    import onnx

    answer = answers(first_output(module), observations)
    buffer = io.BytesIO()
    try:
        with _quiet():
            torch.onnx.export(
                module,
                (torch.from_numpy(observations),),
                buffer,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            )
    except Exception as error:  # as in to_onnx
        raise ImportFailed(f"PyTorch can't write the policy as ONNX: {first_line(error)}") from error
    proto = onnx.load_from_string(buffer.getvalue())
    del proto.graph.output[1:]  # nobody asks for the others, such as a value
    model = _without_traces(proto)
    require_same(onnx_model.load(model), observations, answer, "PyTorch")
    return model


def answers(module: Any, observations: Array, *memory: Array) -> Array:
    """Returns the module's own parameters for float32 observations `(n, size)`, and beside them the next memory.

    Raises:
        ImportFailed: it fails, or gives something else than a row of numbers for each observation.
    """
    torch = import_torch()
    try:
        with torch.no_grad():
            given = module(*map(torch.from_numpy, (observations, *memory)))
            if memory:
                return _in_rows([part.numpy() for part in given])
    except Exception as error:  # a module may raise anything
        raise ImportFailed(f"the policy fails on ordinary observations: {first_line(error)}") from error
    if not isinstance(given, torch.Tensor) or given.ndim != 2 or given.dtype != torch.float32:
        what = f"{given.dtype} {list(given.shape)}" if isinstance(given, torch.Tensor) else type(given).__name__
        raise ImportFailed(
            f"the policy gives {what} for {len(observations)} observations; needed is float32 [batch, parameters]"
        )
    answer: Array = given.numpy()
    return answer


def _in_rows(parts: Sequence[Array]) -> Array:
    """Returns all numbers that belong to an observation in its row."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporters from telling whoever imports a model what they think of its framework's future."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)


def _without_traces(model: Any) -> bytes:
    """Returns the model without the source lines and paths of the machine that the exporter notes at each node."""
    for one in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del one.metadata_props[:]
    for initializer in model.graph.initializer:
        del initializer.metadata_props[:]
    del model.metadata_props[:]
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, which with PyTorch may have hundreds, or else the error's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
