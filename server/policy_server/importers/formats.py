"""What converts each format: one module each, imported when it is needed, for frameworks are large and slow to load."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from policy_server.bundle import Distribution, State
from policy_server.config import ModelFormat


@dataclass(frozen=True)
class Imported:
    """What a framework's importer makes of a model."""

    onnx: bytes
    """Input `observations`, output `distribution_parameters`, both float32 with the batch first; observation
    normalisation and whatever else the format carries is part of it."""
    distribution: Distribution | None
    """None where only a schema can tell."""
    tools: str
    """What converted it, with versions."""
    state: tuple[State, ...] = ()
    """The memory of a recurrent policy."""
    warnings: tuple[str, ...] = ()
    """What may be missing, as far as the file tells."""


class Importer(Protocol):
    """A module of an importer."""

    def convert(self, path: Path, *, trust: bool) -> Imported:
        """Returns the model at `path`, checked against the framework's own answers.

        Args:
            path: the file or folder that was detected.
            trust: whether code in the file may be run.

        Raises:
            ImportFailed: it isn't such a model, can't be converted, answers differently as ONNX, or would run code
                that nobody trusts.
        """


_MODULES = {
    ModelFormat.SAVED_MODEL: "savedmodel",
    ModelFormat.KERAS: "keras_model",
    ModelFormat.TORCH_SCRIPT: "torch_script",
    ModelFormat.TORCH_EXPORT: "torch_export",
    ModelFormat.STABLE_BASELINES3: "stable_baselines3",
    ModelFormat.RLLIB: "rllib",
}


def importer_of(model_format: ModelFormat) -> Importer:
    """Returns what converts a format that needs a framework."""
    return cast(Importer, import_module(f"policy_server.importers.{_MODULES[model_format]}"))


_NEEDING = {
    "tensorflow": "SavedModel or Keras",
    "torch": "TorchScript or TorchExport",
    "stable-baselines3": "StableBaselines3",
    "rllib": "RLlib",
}


def remedy(extra: str) -> str:
    """Returns what to do where the framework of an extra is missing, on a laptop and in a cluster."""
    return f"install policyserver[{extra}], or in a cluster set spec.format: {_NEEDING[extra]}"
