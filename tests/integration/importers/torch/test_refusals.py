import base64
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.integration.importers.torch.trained import Trained, import_policy

pytestmark = pytest.mark.timeout(900)  # the first test waits for everything to be trained and imported


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("td3", "TD3Policy"),
        ("ppo_image", "image"),
        ("ppo_own_class", "acts otherwise"),
        ("ppo_without_statistics", "vec_normalize.pkl"),
        ("ppo_statistics_of_another_name", "whether stats.pkl belongs to the policy"),
        ("export_fixed", "torch.export.Dim('batch')"),
        ("export_double", "float64"),
        ("script_writing", "names save"),
        ("script_writing_on_load", "names save"),
        ("script_writing_in_capitals", "names save"),
        ("script_reading", "names from_file"),
        ("state_dict", "torch.save"),
    ],
)
def test_what_cannot_be_served_as_it_is_is_refused_with_the_reason(
    trained_folder: Path, name: str, reason: str
) -> None:
    trained = Trained(trained_folder / name)
    assert reason in trained.failure
    assert "\n" not in trained.failure
    assert not (trained.folder / "bundle").exists()
    assert not (trained.folder / "trap").exists()


def booby_trapped_policy(folder: Path, trap: Path) -> Path:
    pickled = base64.b64encode(pickle.dumps(Trap(trap))).decode()
    attribute = {":type:": "<class 'gymnasium.spaces.box.Box'>", ":serialized:": pickled}
    keys = ("policy_class", "policy_kwargs", "observation_space", "action_space")
    with zipfile.ZipFile(folder / "policy.zip", "w") as archive:
        archive.writestr("data", json.dumps(dict.fromkeys(keys, attribute)))
        archive.writestr("policy.pth", pickle.dumps(Trap(trap)))
    return folder / "policy.zip"


def booby_trapped_program(folder: Path, trap: Path) -> Path:
    with zipfile.ZipFile(folder / "policy.pt2", "w") as archive:
        archive.writestr("policy/archive_format", "pt2")
        archive.writestr("policy/models/model.json", "{}")
        archive.writestr("policy/data/sample_inputs/model.pt", pickle.dumps(Trap(trap)))
    return folder / "policy.pt2"


@pytest.mark.parametrize("made", [booby_trapped_policy, booby_trapped_program])
def test_without_trust_nothing_of_a_pickle_runs(made: Any, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    source = made(tmp_path, trap)
    pickle.loads(pickle.dumps(Trap(trap)))  # noqa: S301  # our own
    assert trap.exists()  # it does what it is meant to do
    trap.unlink()
    done = import_policy(source, "--output", tmp_path / "bundle")
    assert done.returncode != 0
    assert "trust: true" in done.stderr
    assert "--trust" in done.stderr
    assert not trap.exists()
