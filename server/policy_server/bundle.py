"""The one format that is served: `policy.onnx` and `policy.json` in a folder.

`policy.onnx` maps float32 observations `(n, observationSize)` to float32 distribution parameters `(n, parameters)`,
deterministically; all sampling is the server's. That of a recurrent policy takes and gives its memory, too.
`policy.json` is a `BundleManifest`.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from policy_server.config import ConfigModel, first_problem
from policy_server.distributions import (
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
    QValues,
    SquashedGaussian,
)
from policy_server.errors import BundleError

__all__ = [
    "MANIFEST_FILE",
    "MODEL_FILE",
    "MOST_STATE",
    "BundleManifest",
    "Categorical",
    "DiagonalGaussian",
    "Distribution",
    "MultiCategorical",
    "Origin",
    "QValues",
    "SquashedGaussian",
    "State",
    "read_bundle",
    "write_bundle",
]

MODEL_FILE = "policy.onnx"
MANIFEST_FILE = "policy.json"
_LARGEST_MANIFEST = 1024 * 1024
MOST_STATE = 65_536
"""How many numbers the memory of a recurrent policy may have: it travels with each request."""


class State(ConfigModel):
    """One tensor of a recurrent policy's memory, float32, zeros at the beginning of an episode."""

    input: str
    """The name of the model's input that takes it."""
    output: str
    """The name of the model's output that gives it for the next step."""
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """Its shape without the batch, which is its first dimension."""

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


class Origin(ConfigModel):
    """Where a bundle came from."""

    uri: str
    """What was imported, without credentials."""
    format: str
    """The format it had, such as `SavedModel`."""
    sha256: str
    """The digest of what was fetched."""
    importer: str
    """The program that converted it, with its version."""


class BundleManifest(ConfigModel):
    """`policy.json`."""

    format_version: Literal[1] = 1
    observation_size: Annotated[int, Field(ge=1)]
    """How many numbers the model takes."""
    distribution: Distribution
    """How the model's output becomes an action."""
    model_sha256: str
    """The digest of `policy.onnx`."""
    input: str = "observations"
    """The name of the model's input."""
    output: str = "distribution_parameters"
    """The name of the model's output."""
    state: list[State] = Field(default_factory=list)
    """The memory of a recurrent policy; empty for all others."""
    origin: Origin

    @model_validator(mode="after")
    def _state_can_be_told_apart(self) -> Self:
        for what, names in (
            ("input", [self.input, *(each.input for each in self.state)]),
            ("output", [self.output, *(each.output for each in self.state)]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"state: the {what}s {', '.join(names)} are not all different")
        if (size := sum(each.size for each in self.state)) > MOST_STATE:
            raise ValueError(f"state: it has {size} numbers, at most {MOST_STATE} can travel with a request")
        return self


def write_bundle(folder: Path, model: bytes, manifest: BundleManifest) -> None:
    """Writes both files into `folder`, the manifest last, so that a folder with a manifest is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model)
    text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2)
    (folder / MANIFEST_FILE).write_text(text + "\n")


def read_bundle(folder: Path) -> tuple[bytes, BundleManifest]:
    """Returns the model and its manifest, digest checked.

    Raises:
        BundleError: a file is missing, unreadable, or not what the manifest says.
    """
    try:
        if (size := (folder / MANIFEST_FILE).stat().st_size) > _LARGEST_MANIFEST:
            raise BundleError(f"{folder / MANIFEST_FILE} has {size:,} bytes, no manifest has: import the model again")
        text = (folder / MANIFEST_FILE).read_text()
        model = (folder / MODEL_FILE).read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder} is no bundle: {error}; make one with `policyserver import`") from None
    try:
        manifest = BundleManifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{folder / MANIFEST_FILE}: {first_problem(error)}; import the model again") from None
    digest = hashlib.sha256(model).hexdigest()
    if digest != manifest.model_sha256:
        raise BundleError(
            f"{folder / MODEL_FILE} has the digest {digest}, its manifest says {manifest.model_sha256};"
            " import the model again"
        )
    return model, manifest
