"""Which model format a file or a folder holds, by its content; names alone decide nothing."""

from dataclasses import dataclass
from pathlib import Path

from policy_server.bundle import MANIFEST_FILE, MODEL_FILE
from policy_server.config import ModelFormat
from policy_server.errors import ImportFailed

_ONNX_GRAPH = 7
_ONNX_IR_VERSION = 1
_LISTED = 8


SUPPORTED = (
    "a bundle (policy.onnx and policy.json), an ONNX model, a TensorFlow SavedModel (saved_model.pb and variables/);"
    " each plain or in a zip archive"
)


@dataclass(frozen=True)
class Detected:
    """A model and where it lies: a folder for a bundle and a SavedModel, a file for ONNX."""

    format: ModelFormat
    path: Path


def detect(source: Path) -> Detected:
    """Returns what `source`, a file or a folder (archives already unpacked), holds.

    Raises:
        ImportFailed: nothing that can be imported, or several models of which none is meant more than another.
    """
    if not source.is_dir():
        if is_onnx(source):
            return Detected(ModelFormat.ONNX, source)
        raise ImportFailed(f"found {_kind_of_file(source)}; supported are {SUPPORTED}")
    folders = [source, *sorted(path for path in source.iterdir() if path.is_dir())]
    found = [
        *(Detected(ModelFormat.BUNDLE, folder) for folder in folders if _is_bundle(folder)),
        *(Detected(ModelFormat.SAVED_MODEL, folder) for folder in folders if _is_saved_model(folder)),
    ]
    if not found:
        models = [path for folder in folders for path in sorted(folder.glob("*.onnx")) if path.is_file()]
        found = [Detected(ModelFormat.ONNX, path) for path in models if is_onnx(path)]
    if len(found) == 1:
        return found[0]
    names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    if found:
        places = ", ".join(f"{one.format} in {one.path.relative_to(source).as_posix()!r}" for one in found)
        raise ImportFailed(f"found {len(found)} models ({places}): leave one")
    raise ImportFailed(f"found no model among {listed or 'no files at all'}; supported are {SUPPORTED}")


def _is_bundle(folder: Path) -> bool:
    return (folder / MANIFEST_FILE).is_file() and (folder / MODEL_FILE).is_file()


def _is_saved_model(folder: Path) -> bool:
    return (folder / "saved_model.pb").is_file()


def _kind_of_file(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    if start == b"":
        return "an empty file"
    if start.startswith(b"\x89HDF"):
        return "an HDF5 file (Keras .h5?)"
    if start.startswith(b"\x80"):
        return "a pickle"
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
