"""From a fetched file or folder to a bundle that is known to answer."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from policy_server.bundle import BundleManifest, Origin, read_bundle, write_bundle
from policy_server.compatibility import require_compatible
from policy_server.config import ModelFormat, ModelOutput, Schema
from policy_server.errors import BundleError, ImportFailed
from policy_server.importers import archive, onnx_model
from policy_server.importers.detect import Detected, detect, is_model_archive
from policy_server.importers.digest import regular_files, sha256_of
from policy_server.importers.fetch import DEFAULT_MAX_BYTES
from policy_server.importers.formats import Imported, importer_of
from policy_server.importers.isolation import DEFAULT_MAX_MEMORY, isolated
from policy_server.importers.meaning import interpreted, require_agreement
from policy_server.importers.staging import publish, require_replaceable, workspace_beside
from policy_server.importers.uri import redacted

STAGES = ("read", "convert", "check", "write")
DEFAULT_TIMEOUT = 600.0
_BUNDLE = "bundle"


@dataclass(frozen=True)
class Converted:
    """A bundle that was written."""

    manifest: BundleManifest
    warnings: list[str]


def convert(
    source: Path,
    output: Path,
    *,
    schema: Schema | None = None,
    expected: ModelFormat | None = None,
    uri: str | None = None,
    sha256: str | None = None,
    model_output: ModelOutput | None = None,
    trust: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_memory: int = DEFAULT_MAX_MEMORY,
    seconds: float | None = None,
    stage: Callable[[str], object] = lambda name: None,
    verbose: bool = False,
) -> Converted:
    """Writes a bundle to `output`, whole or not at all; a bundle that is there already is replaced.

    Args:
        source: a file or folder of any supported format, archives included.
        output: the bundle's folder; its parent is made if it isn't there.
        schema: what requests will hold; checked against the model, and for plain ONNX it says the kind of action.
        expected: refuses any other format.
        uri: what `source` was fetched from, for the manifest; shown without credentials.
        sha256: refuses a source with any other digest (as `sha256_of` has it).
        model_output: what the model's outputs mean, where its format doesn't say.
        trust: whether code in the source may be run, as formats made of pickles need it.
        max_bytes: the most that an archive may hold.
        max_memory: the bytes that a process of its own may allocate.
        seconds: converts in a process of its own that is killed after so long; None: in this process, without limit.
        stage: is told the name of each of `STAGES` as it begins.
        verbose: lets the frameworks' logs through to stderr, where there is a process of its own.

    Raises:
        ImportFailed: the source is no model that can be served.
        BundleError: the source is a damaged bundle.
        SchemaMismatch: the schema and the model contradict each other.
    """
    if not source.exists():
        raise ImportFailed(f"{source} doesn't exist: fetch it first, or use `import` with a URI")
    require_replaceable(output)
    with workspace_beside(output) as workspace:
        arguments = {
            "source": source,
            "workspace": workspace,
            "schema": schema,
            "expected": expected,
            "uri": uri,
            "sha256": sha256,
            "model_output": model_output,
            "trust": trust,
            "max_bytes": max_bytes,
        }
        if seconds is None:
            warnings = _build(**arguments, stage=stage)  # type: ignore[arg-type]  # the same names, see there
        else:
            warnings = isolated(
                _build,
                arguments,
                folder=workspace,
                seconds=seconds,
                stage=stage,
                max_memory=max_memory,
                verbose=verbose,
            )
        bundle = workspace / _BUNDLE
        # No links, for who wrote it may have run a model's code.
        if bundle.is_symlink():
            raise ImportFailed("the converter made a link in place of a bundle")
        regular_files(bundle)
        _, manifest = read_bundle(bundle)
        publish(bundle, output, workspace)
    return Converted(manifest, [str(warning) for warning in warnings])


def _build(
    *,
    source: Path,
    workspace: Path,
    schema: Schema | None,
    expected: ModelFormat | None,
    uri: str | None,
    sha256: str | None,
    model_output: ModelOutput | None,
    trust: bool,
    max_bytes: int,
    stage: Callable[[str], object],
) -> list[str]:
    """Writes the bundle to `workspace / "bundle"` and returns warnings."""
    stage("read")
    digest = sha256_of(source)
    if sha256 is not None and digest != sha256.lower():
        raise ImportFailed(f"the source has the digest {digest}, expected was {sha256}: it was changed")
    detected = _unpacked(source, workspace, expected, max_bytes)
    if expected is not None and detected.format is not expected:
        raise ImportFailed(f"the source is of the format {detected.format}, --format says {expected}: correct one")
    stage("convert")
    shown = redacted(uri if uri is not None else str(source))
    model, manifest, warnings = _converted(detected, schema, shown, digest, model_output=model_output, trust=trust)
    stage("check")
    if hashlib.sha256(model).hexdigest() != manifest.model_sha256:
        raise BundleError("the model isn't the one its manifest says: import it again")
    _require_answers(model, manifest)
    warnings += [] if schema is None else require_compatible(schema, manifest)
    stage("write")
    write_bundle(workspace / _BUNDLE, model, manifest)
    return warnings


def _unpacked(source: Path, workspace: Path, expected: ModelFormat | None, max_bytes: int) -> Detected:
    if source.is_file() and archive.is_zip(source) and not is_model_archive(source):
        folder = workspace / "unpacked"
        folder.mkdir()
        archive.extract(source, folder, max_bytes)
        source = folder
    detected = detect(source, expected)
    if detected.path.is_file() and archive.is_zip(detected.path):
        archive.verify(detected.path, max_bytes)  # frameworks don't look for bombs
        if detected.format is ModelFormat.STABLE_BASELINES3 and source.is_dir():
            return Detected(detected.format, source)  # with the statistics of VecNormalize, wherever they lie
    return detected


def _converted(
    detected: Detected,
    schema: Schema | None,
    uri: str,
    digest: str,
    *,
    model_output: ModelOutput | None,
    trust: bool,
) -> tuple[bytes, BundleManifest, list[str]]:
    if detected.format is ModelFormat.BUNDLE:
        return *read_bundle(detected.path), []  # its origin stays what it was: this is a copy
    if detected.format is ModelFormat.ONNX:
        imported = Imported(detected.path.read_bytes(), None, f"onnxruntime {version('onnxruntime')}")
    else:
        imported = importer_of(detected.format).convert(detected.path, trust=trust)
    model = imported.onnx
    loaded = onnx_model.load(model, imported.state or None)
    distribution = imported.distribution
    if distribution is None:
        model, distribution = interpreted(model, loaded, schema, model_output, detected.format)
        loaded = onnx_model.load(model, loaded.state)
    else:
        require_agreement(model_output, distribution)
    manifest = BundleManifest(
        observation_size=loaded.observation_size,
        distribution=distribution,
        model_sha256=hashlib.sha256(model).hexdigest(),
        input=loaded.input,
        output=loaded.output,
        state=list(loaded.state),
        origin=Origin(
            uri=uri, format=detected.format, sha256=digest, importer=f"policyserver {_own_version()}, {imported.tools}"
        ),
    )
    return model, manifest, list(imported.warnings)


def _require_answers(model: bytes, manifest: BundleManifest) -> None:
    """Raises ImportFailed where the model, on a warm-up, isn't what its manifest says."""
    loaded = onnx_model.load(model, manifest.state)
    for what, said, found in (
        ("input", manifest.input, loaded.input),
        ("output", manifest.output, loaded.output),
        ("number of observations", manifest.observation_size, loaded.observation_size),
        ("number of parameters", manifest.distribution.parameters, loaded.parameters),
    ):
        if said != found:
            raise ImportFailed(f"the manifest has the {what} {said}, the model {found}: import the model again")


def _own_version() -> str:
    try:
        return version("policyserver")
    except PackageNotFoundError:
        return "unknown"
