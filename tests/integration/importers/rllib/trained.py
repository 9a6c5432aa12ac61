"""What `training.py` made and `importing.py` imported."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.bundle import BundleManifest
from policy_server.policy import Policy

DISCRETE = ["new_ppo", "new_ppo_nested", "old_ppo", "old_ppo_nested", "old_ppo_one_hot"]
VALUES = ["new_dqn", "new_dqn_distributional", "old_dqn", "old_dqn_noisy"]
GAUSSIAN = [
    "new_ppo_normalised", "new_ppo_clipped", "new_ppo_several_boxes", "old_ppo_normalised",
    "old_ppo_normalised_without_connectors", "old_ppo_free_deviations",
]  # fmt: skip
SQUASHED = ["new_sac", "old_sac"]
RECURRENT = ["new_ppo_recurrent", "old_ppo_recurrent"]
POLICIES = [*DISCRETE, *VALUES, "old_dqn_drawing", *GAUSSIAN, *SQUASHED]
MODULE = "learner_group/learner/rl_module/default_policy"
POLICY = "policies/default_policy"
PARTS = [f"new_ppo/{MODULE}", f"new_dqn/{MODULE}", f"old_ppo_normalised/{POLICY}"]
IMPORTED = [*POLICIES, *RECURRENT, *PARTS]
REFUSED = {
    "new_ppo_own_connector": "the connector Doubled changes observations",
    f"new_ppo_normalised/{MODULE}": "an RLModule alone doesn't say how its actions come to lie within",
    f"old_ppo_normalised_without_connectors/{POLICY}": "MeanStdFilter, whose state this checkpoint lacks",
    "several": "has 2 policies (cat, mouse), and none is named default_policy: give the folder of one, such as cat",
    "new_ppo/learner_group": "has no policy in it: give the folder of an algorithm",
    "new_ppo_without_runner": "has no env_runner, whose connectors belong to the policy",
    "new_ppo_own_code": "the checkpoint needs the Python module nobodys_networks, which isn't here: install it",
    "old_ppo_of_tensorflow": "framework is tf2: export the policy as a SavedModel",
    "old_ppo_of_another_version": "can't restore the checkpoint, which ray 2.9.3 wrote",
}


def place(folder: Path, what: str, path: str) -> Path:
    """Returns where the bundle or the failure of a checkpoint is, whose path may lead into another checkpoint."""
    return folder / what / path.replace("/", "-")


@dataclass(frozen=True)
class Trained:
    """A checkpoint, imported, and RLlib's own answers."""

    folder: Path
    name: str

    @cached_property
    def policy(self) -> Policy:
        failure = place(self.folder, "failures", self.name)
        assert not failure.exists(), failure.read_text()
        return Policy.load(place(self.folder, "bundles", self.name))

    @property
    def manifest(self) -> BundleManifest:
        return self.policy.manifest

    @cached_property
    def theirs(self) -> dict[str, np.ndarray[Any, Any]]:
        return dict(np.load(self.folder / f"{self.name.partition('/')[0]}.npz"))

    @cached_property
    def parameters(self) -> np.ndarray[Any, Any]:
        """What the bundle gives for the observations; of a recurrent policy, in one episode."""
        observations = self.theirs["observations"]
        memory = self.policy.recurrence
        if memory is None:
            return self.policy.parameter_rows(observations)
        rows, state = [], None
        for observation in observations:
            parameters, (state,) = self.policy.step(observation[None], memory.opened([state]))
            rows.append(parameters[0])
        return np.stack(rows)
