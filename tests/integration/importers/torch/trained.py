"""What `training.py` and `exporting.py` made and `importing.py` imported."""

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.bundle import BundleManifest, read_bundle
from policy_server.importers import onnx_model
from policy_server.sampling import Sampler, sampler_for
from tests.frameworks import run_framework

# Of training.py and of exporting.py: those that are imported, and those that are refused.
POLICIES = [
    "ppo_discrete", "ppo_multi_discrete", "ppo_multi_binary", "ppo_one_number", "ppo_dict", "ppo_own_networks",
    "ppo_state_dependent_squashed", "a2c_box", "a2c_state_dependent", "dqn", "sac", "sac_state_dependent",
    "ppo_normalized", "ppo_normalized_dict", "ppo_normalized_rewards",
]  # fmt: skip
NO_POLICIES = ["td3", "ppo_image", "ppo_own_class", "ppo_without_statistics", "ppo_statistics_of_another_name"]
PROGRAMS = ["script", "script_traced", "script_frozen", "export", "export_several"]
NO_PROGRAMS = [
    "export_fixed", "export_double", "script_writing", "script_writing_on_load", "script_writing_in_capitals",
    "script_reading", "state_dict",
]  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """One model's folder."""

    folder: Path

    def array(self, name: str) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = np.load(self.folder / f"{name}.npy")
        return found

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "facts.json").read_text())
        return found

    @property
    def failure(self) -> str:
        return (self.folder / "failure").read_text()

    @cached_property
    def manifest(self) -> BundleManifest:
        assert not (self.folder / "failure").exists(), self.failure
        return read_bundle(self.folder / "bundle")[1]

    @cached_property
    def sampler(self) -> Sampler:
        return sampler_for(self.manifest.distribution)

    @cached_property
    def parameters(self) -> np.ndarray[Any, Any]:
        """What the bundle gives for the observations."""
        model = onnx_model.load(read_bundle(self.folder / "bundle")[0])
        return onnx_model.run(model, self.array("observations"))


def import_policy(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Runs the real command."""
    return run_framework("stable-baselines3", "-m", "policy_server.importers", "import", *arguments)
