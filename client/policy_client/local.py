"""A policy from a bundle, in this process."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from policy_client.acting import Policy
from policy_client.drawing import draw
from policy_client.errors import MissingDependency, PolicyError
from policy_client.observations import Observation, row
from policy_client.spaces import Action

if TYPE_CHECKING:  # as in acting.py
    from policy_client.simulation import Simulation

# ONNX Runtime reports models to its maker unless this is set before it is loaded.
_QUIET = "ORT_DISABLE_TELEMETRY"


class Local(Policy):
    """Runs a bundle, as `policyserver import` makes it, with ONNX Runtime; needs no server and nothing of one.

    The numbers of an observation are the model's inputs in their own order, as for `Server(…, raw=True)`. Bundles hold
    no schema, so that no mask, default or bound of one applies. With the same seed, a server of one process that is
    asked for the same observations in the same order acts in the same way.
    """

    def __init__(self, bundle: str | Path, seed: int | None = None) -> None:
        """Takes the bundle's folder, and what makes the draws repeatable.

        Raises:
            PolicyError: it is no bundle, or damaged.
            MissingDependency: ONNX Runtime is not installed.
        """
        model, self._manifest = _read(Path(bundle))
        self._session = _session(model, Path(bundle))
        self._random = np.random.default_rng(seed)
        self._states: dict[int, list[NDArray[np.float32]]] = {}

    def begin_episode(self) -> None:
        """See `Policy`."""
        self._states.clear()

    def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """See `Policy`."""
        return {
            agent: simulation.action_space(agent).action(self._act(agent, simulation.get_observation(agent)))
            for agent in range(simulation.number_of_agents())
        }

    def _act(self, agent: int, observation: Observation) -> list[float]:
        numbers, size = row(observation).astype(np.float32), self._manifest["observationSize"]
        if len(numbers) != size:
            raise PolicyError(f"the observation of agent {agent} has {len(numbers)} numbers, the model takes {size}")
        memory = self._manifest.get("state", [])
        states = self._states.get(agent) or [np.zeros((1, *each["shape"]), np.float32) for each in memory]
        inputs = {self._manifest["input"]: numbers[np.newaxis]}
        inputs |= {each["input"]: state for each, state in zip(memory, states, strict=True)}
        outputs = [self._manifest["output"], *(each["output"] for each in memory)]
        parameters, *self._states[agent] = self._session.run(outputs, inputs)
        return draw(self._manifest["distribution"], parameters[0].astype(np.float64), self._random)


def _read(bundle: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        manifest = json.loads((bundle / "policy.json").read_text())
        model = (bundle / "policy.onnx").read_bytes()
    except (OSError, ValueError) as error:
        raise PolicyError(f"{bundle} is no bundle: {error}; make one with `policyserver import`") from None
    if manifest.get("formatVersion") != 1:
        raise PolicyError(f"{bundle} has the format version {manifest.get('formatVersion')}, this reads 1")
    if hashlib.sha256(model).hexdigest() != manifest.get("modelSha256"):
        raise PolicyError(f"{bundle}: policy.onnx is not what policy.json says; import the model again")
    return model, manifest


def _session(model: bytes, bundle: Path) -> Any:
    os.environ.setdefault(_QUIET, "1")
    try:
        import onnxruntime  # noqa: PLC0415 -- only this policy needs it
    except ImportError:
        raise MissingDependency("Local needs ONNX Runtime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # policies are too small to share out
    options.log_severity_level = 3
    # Tensors kept in other files would be read from the working directory; from here nothing can be.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime raises classes of its C++ side without a common base
        raise PolicyError(f"{bundle}: ONNX Runtime can't load the model: {error}; import it again") from None
