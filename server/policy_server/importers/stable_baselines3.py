"""Converts what Stable-Baselines3 saved of PPO, A2C, DQN and SAC, with VecNormalize's statistics if they are there.

A bundle acts as `model.predict` does: continuous actions are clipped to the action space's bounds or scaled to them,
and a DQN explores with the rate that its training ended with.
"""
# ruff: noqa: PLC0415  # importing PyTorch takes seconds, and the serving image has none

import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.bundle import Distribution
from policy_server.errors import ImportFailed
from policy_server.importers import archive
from policy_server.importers.agreement import Array
from policy_server.importers.formats import Imported, remedy
from policy_server.importers.stable_baselines3_heads import head_of
from policy_server.importers.stable_baselines3_observations import Observations
from policy_server.importers.torch_model import answers, first_line, import_torch, module_of, to_onnx, tools
from policy_server.importers.trust import require_trust
from policy_server.sampling import sampler_for

_STATISTICS = "*normalize*.pkl"
_KNOWN_PICKLES = ("*replay*buffer*.pkl",)
_NEEDED = ("policy_class", "policy_kwargs", "observation_space", "action_space")
_TOLERANCE = 1e-4


def convert(path: Path, *, trust: bool) -> Imported:
    """Returns the policy, checked against Stable-Baselines3's own `predict`; see `Importer`.

    Args:
        path: the zip archive; or a folder with it and, somewhere in it, the pickle of `VecNormalize.save`.
        trust: needed, for the archive holds pickles.

    Raises:
        ImportFailed: nobody trusts it, it is no policy of the four, or the statistics that it needs aren't there.
    """
    require_trust(trust, "a file of Stable-Baselines3")
    torch = import_torch("stable-baselines3")
    try:
        import stable_baselines3  # noqa: F401  # the same remedy where it is missing
    except ImportError as error:
        needed = f"a file of Stable-Baselines3 needs stable-baselines3 ({error})"
        raise ImportFailed(f"{needed}: {remedy('stable-baselines3')}") from error
    zipped, statistics = _files(path)
    data, parameters = _read(torch, zipped)
    policy = _policy(data, parameters)
    _require_statistics(policy, data, statistics)
    observations = Observations(policy.observation_space, statistics)
    head, distribution = head_of(policy, data)
    module = module_of(lambda given: head(observations.given_to_policy(given)), policy)
    trial = observations.trial()
    _require_same_actions(policy, observations.as_framework_has_them(trial), answers(module, trial), distribution)
    onnx, used = to_onnx(module, trial), tools("stable-baselines3", "onnxscript")
    return Imported(onnx, distribution, used, warnings=_doubts(policy, statistics))


def _files(path: Path) -> tuple[Path, Any]:
    """Returns the archive of the policy and the unpickled VecNormalize, or None."""
    if path.is_dir():
        archives = [one for one in sorted(path.rglob("*")) if one.is_file() and archive.is_zip(one)]
        policies = [one for one in archives if {"data", "policy.pth"} <= archive.member_names(one)]
        zipped = min(policies, key=lambda one: len(one.parts))  # the one that was detected; below it lie older ones
        pickles = [one for one in sorted(path.rglob("*.pkl")) if not any(one.match(known) for known in _KNOWN_PICKLES)]
        found = [(str(one.relative_to(path)), one.read_bytes()) for one in pickles if one.match(_STATISTICS)]
        if others := [str(one.relative_to(path)) for one in pickles if not one.match(_STATISTICS)]:
            raise ImportFailed(
                f"it can't be told whether {', '.join(others)} belongs to the policy: name what VecNormalize.save wrote"
                " vec_normalize.pkl, and leave out what it didn't"
            )
    else:
        zipped, found = path, []
    with zipfile.ZipFile(zipped) as opened:
        found += [(name, opened.read(name)) for name in opened.namelist() if Path(name).match(_STATISTICS)]
    if len(found) > 1:
        raise ImportFailed(
            f"there are several statistics of VecNormalize, {', '.join(name for name, _ in found)}: leave one"
        )
    return zipped, _unpickled(*found[0]) if found else None


def _unpickled(name: str, content: bytes) -> Any:
    from stable_baselines3.common.vec_env import VecNormalize

    try:
        found = pickle.loads(content)  # noqa: S301  # whoever imports it trusts it
    except Exception as error:  # pickles raise anything
        raise ImportFailed(f"{name} can't be read: {first_line(error)}") from error
    if not isinstance(found, VecNormalize):
        raise ImportFailed(
            f"{name} holds {type(found).__name__}, not what VecNormalize.save writes: rename or remove it"
        )
    return found


def _read(torch: Any, zipped: Path) -> tuple[dict[str, Any], Any]:
    """Returns the saved attributes that matter and the policy's weights; what isn't needed isn't unpickled."""
    from stable_baselines3.common.save_util import json_to_data

    try:
        with zipfile.ZipFile(zipped) as opened:
            raw: dict[str, Any] = json.loads(opened.read("data"))
            wanted = {key: raw[key] for key in _NEEDED if key in raw}
            with warnings.catch_warnings(action="ignore"):
                data: dict[str, Any] = json_to_data(json.dumps(wanted))
            with opened.open("policy.pth") as file:
                parameters = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles and PyTorch raise anything
        raise ImportFailed(
            f"the file of Stable-Baselines3 can't be loaded ({type(error).__name__}: {first_line(error)}): it needs"
            " packages that aren't here, or was made with other versions of them"
        ) from error
    if missing := [key for key in _NEEDED if key not in data]:
        raise ImportFailed(
            f"the file of Stable-Baselines3 has no {' and no '.join(missing)} that can be loaded here: save it with the"
            " version of Python and of stable-baselines3 that imports it"
        )
    for key in ("use_sde", "exploration_rate", "_last_original_obs"):
        data[key] = raw.get(key)
    return data, parameters


def _policy(data: dict[str, Any], parameters: Any) -> Any:
    """Returns the policy with its weights, in evaluation mode."""
    from stable_baselines3.common.policies import ActorCriticPolicy

    arguments = {key: value for key, value in data["policy_kwargs"].items() if key != "device"}
    policy_class = data["policy_class"]
    if isinstance(policy_class, type) and issubclass(policy_class, ActorCriticPolicy):
        arguments.setdefault("use_sde", bool(data["use_sde"]))  # the others' algorithms say it in their arguments
    try:
        policy = policy_class(data["observation_space"], data["action_space"], lambda _: 0.0, **arguments)
        policy.load_state_dict(parameters)
    except Exception as error:  # a policy of the user's own raises anything
        raise ImportFailed(
            f"the policy {getattr(policy_class, '__name__', policy_class)} can't be made anew: {first_line(error)}"
        ) from error
    policy.set_training_mode(False)
    return policy


def _require_statistics(policy: Any, data: dict[str, Any], statistics: Any) -> None:
    """Raises ImportFailed where observations were normalised in training and nothing says how.

    Only of PPO and A2C can one tell: their `_setup_learn` keeps the first observations as they were before
    VecNormalize, and nothing else sets `_last_original_obs`. DQN and SAC set it in any case.
    """
    from stable_baselines3.common.policies import ActorCriticPolicy

    if statistics is None and isinstance(policy, ActorCriticPolicy) and data["_last_original_obs"] is not None:
        raise ImportFailed(
            "the policy was trained under VecNormalize, and its statistics aren't here: put what VecNormalize.save"
            " writes, as vec_normalize.pkl, and the policy's zip into one folder or archive"
        )


def _doubts(policy: Any, statistics: Any) -> tuple[str, ...]:
    from stable_baselines3.common.policies import ActorCriticPolicy

    if statistics is not None or isinstance(policy, ActorCriticPolicy):
        return ()
    return (
        "the file doesn't tell whether the policy was trained under VecNormalize: if it was, put what VecNormalize.save"
        " wrote, as vec_normalize.pkl, and the policy's zip into one folder or archive",
    )


def _require_same_actions(policy: Any, observations: Any, answer: Array, distribution: Distribution) -> None:
    """Raises ImportFailed where the actions that would be served as the most likely aren't those of `predict`."""
    theirs = policy.predict(observations, deterministic=True)[0].reshape(len(answer), -1)
    sampler = sampler_for(distribution)
    ours = np.array([sampler.most_likely(parameters)[0] for parameters in answer])
    if not np.allclose(ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise ImportFailed(
            f"the policy {type(policy).__name__} acts otherwise than Stable-Baselines3's own do: only those of PPO,"
            " A2C, DQN and SAC can be imported; export it with torch.export instead"
        )
