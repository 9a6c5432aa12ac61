"""Whether a converted model answers as the framework did that trained it."""

from typing import Any

import numpy as np

from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model

INPUT = "observations"
OUTPUT = "distribution_parameters"
TOLERANCE = 1e-4
"""The largest difference to the framework's own answer that is accepted, relative to the answer's scale."""
CHECKED = 64
"""How many observations are compared."""

Array = np.ndarray[Any, Any]


def trial_observations(size: int) -> Array:
    """Returns what a conversion is checked with, float32 `(64, size)`.

    Half are real numbers, half zeros and ones as action masks have them.
    """
    random = np.random.default_rng(0)
    half = CHECKED // 2
    return np.concatenate([random.normal(size=(half, size)), random.integers(0, 2, (half, size))]).astype(np.float32)


def require_same(model: onnx_model.OnnxModel, observations: Array, answer: Array, framework: str) -> None:
    """Raises ImportFailed where the ONNX model answers otherwise than the framework did.

    Args:
        model: the converted policy.
        observations: what the framework was asked, float32 `(n, size)`.
        answer: what it answered, `(n, parameters)`.
        framework: its name, for the message.
    """
    require_close(onnx_model.run(model, observations), answer, framework)


def require_close(ours: Array, answer: Array, framework: str) -> None:
    """As `require_same`, of what the ONNX model answered."""
    if ours.shape != answer.shape:
        raise ImportFailed(f"the converted policy gives {ours.shape}, {framework} {answer.shape}: please report it")
    finite = np.isfinite(answer)
    if not finite.any():
        raise ImportFailed("the policy's answers to 64 ordinary observations aren't numbers: train it again")
    # Action masks make numbers of 1e38 beside ordinary ones: each is judged on its own scale, and none below the usual.
    usual = max(1.0, float(np.median(np.abs(answer[finite]))))
    scale = np.maximum(np.abs(np.where(finite, answer, 0)), usual)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(ours.astype(np.float64) - answer) / scale
    worst = float(np.max(np.where(np.isfinite(ours), error, np.inf)[finite]))
    if worst > TOLERANCE:
        raise ImportFailed(
            f"the converted policy differs from {framework}'s answers by {worst:.1e} of their scale (allowed:"
            f" {TOLERANCE:g}): it uses an operation that ONNX defines otherwise"
        )
