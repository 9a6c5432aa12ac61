"""Converts RLlib checkpoints, of both API stacks: its distributions, observation filters and bounds of actions.

Ray and RLlib are imported when asked to, not before. No cluster is started and no environment made: the policy alone is
restored, so a checkpoint whose environment nobody here knows can be imported.
"""
# ruff: noqa: PLC0415  # importing RLlib takes seconds, and the serving image has none

import os
from pathlib import Path
from typing import Any

from policy_server.errors import ImportFailed, PolicyServerError
from policy_server.importers.formats import Imported, remedy
from policy_server.importers.rllib_checkpoint import ModuleCheckpoint, find_policy, written_by
from policy_server.importers.torch_model import import_torch, to_onnx, tools
from policy_server.importers.trust import require_trust


def convert(path: Path, *, trust: bool) -> Imported:
    """Returns the one policy of a checkpoint, or of several the one named `default_policy`; see `Importer`.

    Args:
        path: the folder of an algorithm's checkpoint, a policy's (old API stack) or an RLModule's (new API stack).
        trust: whether code in the file may be run; checkpoints are pickles.

    Raises:
        ImportFailed: nobody trusts it; it has several policies; it can't be restored here; or the policy has
            a connector, filter or distribution of which the server knows no equal.
    """
    checkpoint = find_policy(path)
    require_trust(trust, "an RLlib checkpoint")
    import_torch("rllib")
    ray = _ray()
    try:
        if isinstance(checkpoint, ModuleCheckpoint):
            from policy_server.importers.rllib_modules import recover as recover_module

            recovered = recover_module(checkpoint)
        else:
            from policy_server.importers.rllib_policies import recover as recover_policy

            recovered = recover_policy(checkpoint)
    except PolicyServerError:
        raise
    except Exception as error:  # whatever the code in the checkpoint, or RLlib on another version's, may raise
        raise ImportFailed(_why(error, checkpoint.ray_version, ray.__version__)) from error
    from policy_server.importers.rllib_observations import trials

    model = to_onnx(recovered.module, trials(recovered.observed), recovered.state)
    return Imported(model, recovered.actions.distribution, tools("ray"), recovered.state)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.rllib
    except ImportError as error:
        raise ImportFailed(f"an RLlib checkpoint needs ray[rllib] ({error}): {remedy('rllib')}") from error
    return ray


def _why(error: Exception, theirs: str | None, ours: str) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    if theirs is not None and theirs != ours:
        return (
            f"ray {ours} can't restore the checkpoint, which ray {theirs} wrote ({type(error).__name__}: {reason}):"
            f" restore it with ray {theirs} and export the policy, or train it again with ray {ours}"
        )
    if isinstance(error, ModuleNotFoundError) and not (error.name or "ray").startswith("ray"):
        return f"the checkpoint needs the Python module {error.name}, which isn't here: install it beside the importer"
    return f"RLlib can't restore the checkpoint{written_by(theirs)} ({type(error).__name__}: {reason}): save it again"
