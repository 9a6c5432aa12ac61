"""The policy that every peer serves: one call of ONNX Runtime, set up as ours is, and an action sampled from it."""

import os

import numpy as np
import onnxruntime


class Policy:
    """The model named by the environment variable MODEL."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # As policy_server.policy has it: the comparison is of servers.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self._random = np.random.default_rng()

    def act(self, observation: list[float]) -> tuple[int, float]:
        """Returns a sampled action with its probability."""
        inputs = {"observations": np.array([observation], np.float32)}
        logits = self._session.run(["distribution_parameters"], inputs)[0][0].astype(np.float64)
        weights = np.exp(logits - logits.max())
        probabilities = weights / weights.sum()
        action = int(probabilities.cumsum().searchsorted(self._random.random(), side="right"))
        action = min(action, len(probabilities) - 1)
        return action, float(probabilities[action])
