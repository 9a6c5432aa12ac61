"""Which model format a file or a folder holds, by its content; names alone decide nothing."""

from dataclasses import dataclass
from pathlib import Path

from policy_server.bundle import MANIFEST_FILE, MODEL_FILE
from policy_server.config import ModelFormat
from policy_server.errors import ImportFailed
from policy_server.importers import archive
from policy_server.importers.rllib_checkpoint import is_rllib_checkpoint

_ONNX_GRAPH = 7
_ONNX_IR_VERSION = 1
_LISTED = 8
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TORCH_SAVE = "what torch.save wrote, without the model's code: export the model, torch.jit.script(model).save(PATH)"
_KERAS_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}


SUPPORTED = (
    "a bundle (policy.onnx and policy.json), ONNX, a TensorFlow SavedModel (saved_model.pb and variables/), Keras (.h5,"
    " .keras), TorchScript, torch.export (.pt2), Stable-Baselines3 (.zip) and an RLlib checkpoint; each plain or in a"
    " zip archive"
)


@dataclass(frozen=True)
class Detected:
    """A model and where it lies.

    A folder for a bundle, a SavedModel, an RLlib checkpoint and what an archive of Keras holds; else a file.
    """

    format: ModelFormat
    path: Path


def detect(source: Path, expected: ModelFormat | None = None) -> Detected:
    """Returns what `source` holds: a file, or a folder and the folders in it; archives of models already unpacked.

    Formats whose files are zip archives themselves are known as such, whole; Keras' are also known unpacked. Of several
    models, the one of the `expected` format is meant.

    Raises:
        ImportFailed: nothing that can be imported, or several models of which none is meant more than another.
    """
    if not source.is_dir():
        if (found_format := _format_of_file(source)) is not None:
            return Detected(found_format, source)
        raise ImportFailed(f"found {_kind_of_file(source)}; supported are {SUPPORTED}")
    if is_rllib_checkpoint(source):  # its folders may look like checkpoints, too, and its exports like models
        return Detected(ModelFormat.RLLIB, source)
    folders = [source, *sorted(path for path in source.iterdir() if path.is_dir())]
    found = [Detected(kind, folder) for folder in folders if (kind := _format_of_folder(folder)) is not None]
    if not found or expected not in (None, *(one.format for one in found)):
        files = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
        found += [Detected(kind, path) for path in files if (kind := _format_of_file(path)) is not None]
    if expected is not None:
        found = [one for one in found if one.format is expected] or found
    if len(found) == 1:
        return found[0]
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    if found:
        places = ", ".join(f"{one.format} in {one.path.relative_to(source).as_posix()!r}" for one in found)
        raise ImportFailed(f"found {len(found)} models ({places}): leave one, or say its format")
    if any(name.endswith("/data.pkl") for name in names):
        raise ImportFailed(f"found {_TORCH_SAVE}")
    raise ImportFailed(f"found no model among {listed or 'no files at all'}; supported are {SUPPORTED}")


def is_model_archive(path: Path) -> bool:
    """Whether the file is a zip archive of a format that is read as an archive, not unpacked."""
    return archive.is_zip(path) and _format_of_archive(path) is not None


def _format_of_folder(folder: Path) -> ModelFormat | None:
    names = {path.name for path in folder.iterdir() if path.is_file()}
    if {MANIFEST_FILE, MODEL_FILE} <= names:
        return ModelFormat.BUNDLE
    if "saved_model.pb" in names:
        return ModelFormat.SAVED_MODEL
    if names >= _KERAS_MEMBERS:
        return ModelFormat.KERAS
    return ModelFormat.RLLIB if is_rllib_checkpoint(folder) else None


def _format_of_file(path: Path) -> ModelFormat | None:
    if archive.is_zip(path):
        return _format_of_archive(path)
    with path.open("rb") as file:
        if file.read(len(_HDF5)) == _HDF5:
            # The attribute's name is in the clear wherever HDF5 puts it; the file's own library judges the rest.
            return ModelFormat.KERAS if b"model_config" in path.read_bytes() else None
    return ModelFormat.ONNX if is_onnx(path) else None


def _format_of_archive(path: Path) -> ModelFormat | None:
    names = archive.member_names(path)
    if {"data", "policy.pth"} <= names:
        return ModelFormat.STABLE_BASELINES3
    # PyTorch puts everything into one folder, whose name is the file's.
    inner = {name.partition("/")[2] for name in names}
    if "archive_format" in inner | names or "serialized_exported_program.json" in names:
        return ModelFormat.TORCH_EXPORT
    return ModelFormat.TORCH_SCRIPT if {"constants.pkl", "data.pkl", "version"} <= inner else None


def _kind_of_file(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    if start == b"":
        return "an empty file"
    if start == _HDF5:
        return "an HDF5 file without a model in it, perhaps of weights alone (save the whole model: model.save(...))"
    if start.startswith(b"\x80"):
        return "a pickle, perhaps of torch.save (export the model: torch.jit.script(...).save(...))"
    if archive.is_zip(path):
        if any(name.endswith("/data.pkl") for name in archive.member_names(path)):
            return _TORCH_SAVE
        return "a zip archive"
    return "a file of unknown format"


def is_onnx(path: Path) -> bool:
    """Whether the file is a protobuf message with the fields that every ONNX model has, none of them cut short.

    Only the outermost fields are walked, which needs no framework; what is inside them onnxruntime judges later.
    """
    data = path.read_bytes()
    fields: set[tuple[int, int]] = set()
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return False
        fields.add((key >> 3, kind))
    return at == len(data) and {(_ONNX_IR_VERSION, 0), (_ONNX_GRAPH, 2)} <= fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number and where the next one starts; beyond the end where the data is cut short."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            return 0, len(data) + 1
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            break
    return value, at
