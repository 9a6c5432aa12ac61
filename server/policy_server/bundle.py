"""The one format that is served: `policy.onnx` and `policy.json` in a folder.

`policy.onnx` maps float32 observations `(n, observationSize)` to float32 distribution parameters `(n, parameters)`,
deterministically; all sampling is the server's. `policy.json` is a `BundleManifest`.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from policy_server.config import ConfigModel, first_problem
from policy_server.errors import BundleError

MODEL_FILE = "policy.onnx"
MANIFEST_FILE = "policy.json"


class Categorical(ConfigModel):
    """One discrete action out of `size`; the parameters are its logits."""

    kind: Literal["Categorical"] = "Categorical"
    size: Annotated[int, Field(ge=1)]

    @property
    def parameters(self) -> int:
        """How many numbers the model gives."""
        return self.size

    @property
    def components(self) -> int:
        """How many numbers an action has."""
        return 1


class MultiCategorical(ConfigModel):
    """A tuple of discrete actions; the parameters are all components' logits, concatenated in order."""

    kind: Literal["MultiCategorical"] = "MultiCategorical"
    sizes: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]

    @property
    def parameters(self) -> int:
        """How many numbers the model gives."""
        return sum(self.sizes)

    @property
    def components(self) -> int:
        """How many numbers an action has."""
        return len(self.sizes)


class DiagonalGaussian(ConfigModel):
    """A vector of `size` real numbers; the parameters are the means, then the logs of the standard deviations."""

    kind: Literal["DiagonalGaussian"] = "DiagonalGaussian"
    size: Annotated[int, Field(ge=1)]

    @property
    def parameters(self) -> int:
        """How many numbers the model gives."""
        return 2 * self.size

    @property
    def components(self) -> int:
        """How many numbers an action has."""
        return self.size


Distribution = Annotated[Categorical | MultiCategorical | DiagonalGaussian, Field(discriminator="kind")]


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
    origin: Origin


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
