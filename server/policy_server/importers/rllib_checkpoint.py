"""Where the parts of an RLlib checkpoint lie; nothing is unpickled here, and RLlib isn't needed.

Source: RLlib's `utils/checkpoints.py`. The new API stack writes a folder for each component; the old one a folder for
each policy, and one for the algorithm with its policies in it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_server.errors import ImportFailed

DEFAULT = "default_policy"
"""The name that RLlib gives to the only policy of an algorithm."""
_ABOUT = ("rllib_checkpoint.json", "metadata.json")
_CONSTRUCTION = "class_and_ctor_args.pkl"
_MODULE_STATES = ("module_state.pkl", "module_state.msgpack")
_POLICY_STATES = ("policy_state.pkl", "policy_state.msgpck", "policy_state.msgpack")
_MODULES = ("learner_group/learner/rl_module", "env_runner/rl_module")


@dataclass(frozen=True)
class ModuleCheckpoint:
    """An RLModule of the new API stack."""

    folder: Path
    algorithm: Path | None
    """The folder of the algorithm whose checkpoint it is part of; None: the module is all there is."""
    ray_version: str | None
    """The version of Ray that wrote it, where that is said."""

    @property
    def env_runner(self) -> Path | None:
        """The folder with the connectors, if the checkpoint has one."""
        folder = None if self.algorithm is None else self.algorithm / "env_runner"
        return folder if folder is not None and folder.is_dir() else None


@dataclass(frozen=True)
class PolicyCheckpoint:
    """A policy of the old API stack."""

    state: Path
    """The file that has everything of the policy itself."""
    name: str
    """What the algorithm calls it."""
    algorithm_state: Path | None
    """The file of the algorithm, which has the filters of observations; None: the policy is all there is."""
    ray_version: str | None
    """The version of Ray that wrote it, where that is said."""


def is_rllib_checkpoint(folder: Path) -> bool:
    """Whether the folder is a checkpoint of an algorithm, a policy or a module, or one of their components."""
    return any((folder / name).is_file() for name in (_ABOUT[0], _CONSTRUCTION, *_POLICY_STATES))


def find_policy(folder: Path) -> ModuleCheckpoint | PolicyCheckpoint:
    """Returns the one policy of a checkpoint, or of several the one named `default_policy`.

    Raises:
        ImportFailed: there is none, or several of which none is the default.
    """
    version = _ray_version(folder)
    for modules in (folder / place for place in _MODULES):
        if modules.is_dir():
            return ModuleCheckpoint(_one_of(_modules_in(modules), folder), folder, version)
    if (policies := folder / "policies").is_dir():
        states = {path.name: state for path in sorted(policies.iterdir()) if (state := _policy_state(path)) is not None}
        state = _one_of(states, folder)
        return PolicyCheckpoint(state, state.parent.name, _algorithm_state(folder), version)
    if (alone := _policy_state(folder)) is not None:
        return PolicyCheckpoint(alone, DEFAULT, None, version)
    if modules_in_it := _modules_in(folder):
        return ModuleCheckpoint(_one_of(modules_in_it, folder), None, version)
    if _is_module(folder):
        return ModuleCheckpoint(folder, None, version)
    raise ImportFailed(
        f"the RLlib checkpoint{written_by(version)} has no policy in it: give the folder of an algorithm"
        " (rllib_checkpoint.json), a policy (policy_state.pkl) or an RLModule (module_state.pkl)"
    )


def written_by(version: str | None) -> str:
    """Returns ` of ray VERSION`, for messages; nothing where the version isn't known."""
    return "" if version is None else f" of ray {version}"


def _modules_in(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir()) if _is_module(path)}


def _is_module(folder: Path) -> bool:
    return (folder / _CONSTRUCTION).is_file() and any((folder / name).is_file() for name in _MODULE_STATES)


def _policy_state(folder: Path) -> Path | None:
    return next((folder / name for name in _POLICY_STATES if (folder / name).is_file()), None)


def _algorithm_state(folder: Path) -> Path | None:
    found = sorted(folder.glob("algorithm_state.*"))
    return found[0] if found else None


def _one_of(found: dict[str, Path], folder: Path) -> Path:
    if DEFAULT in found:
        return found[DEFAULT]
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise ImportFailed("the RLlib checkpoint has no policy in it: save it again")
    place = next(iter(found.values())).relative_to(folder)
    raise ImportFailed(
        f"the RLlib checkpoint has {len(found)} policies ({', '.join(found)}), and none is named {DEFAULT}: give the"
        f" folder of one, such as {place.as_posix()}"
    )


def _ray_version(folder: Path) -> str | None:
    for name in _ABOUT:
        try:
            about: Any = json.loads((folder / name).read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(about, dict) and isinstance(about.get("ray_version"), str):
            return str(about["ray_version"])
    return None
