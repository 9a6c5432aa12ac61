from collections.abc import Callable
from pathlib import Path

import pytest

from policy_server.config import ModelFormat
from policy_server.errors import ImportFailed
from policy_server.importers.detect import detect, is_onnx


@pytest.fixture
def folder(tmp_path: Path, onnx_policy: Callable[..., bytes]) -> Callable[..., Path]:
    def build(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(onnx_policy() if name.endswith(".onnx") else b"{}")
        return tmp_path

    return build


@pytest.mark.parametrize(
    ("names", "expected", "place"),
    [
        (("policy.json", "policy.onnx"), ModelFormat.BUNDLE, "."),
        (("a/policy.json", "a/policy.onnx"), ModelFormat.BUNDLE, "a"),
        (("saved_model.pb", "variables/x", "events.out.tfevents.1"), ModelFormat.SAVED_MODEL, "."),
        (("a/saved_model.pb", "__MACOSX/a/._saved_model.pb"), ModelFormat.SAVED_MODEL, "a"),
        (("model.onnx", "notes.txt"), ModelFormat.ONNX, "model.onnx"),
        (("a/model.onnx",), ModelFormat.ONNX, "a/model.onnx"),
    ],
)
def test_a_folder_is_known_by_what_it_holds(
    folder: Callable[..., Path], names: tuple[str, ...], expected: ModelFormat, place: str
) -> None:
    root = folder(*names)
    detected = detect(root)
    assert (detected.format, detected.path) == (expected, root / place)


@pytest.mark.parametrize(
    "names", [("a/saved_model.pb", "b/saved_model.pb"), ("a.onnx", "b.onnx"), ("saved_model.pb", "a/saved_model.pb")]
)
def test_several_models_are_refused(folder: Callable[..., Path], names: tuple[str, ...]) -> None:
    with pytest.raises(ImportFailed, match="found 2 models"):
        detect(folder(*names))


def test_a_folder_without_a_model_is_refused_with_what_it_holds(folder: Callable[..., Path]) -> None:
    with pytest.raises(ImportFailed, match=r"config.json, model.weights.h5; supported are .*SavedModel"):
        detect(folder("config.json", "model.weights.h5"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"\x89HDF\r\n\x1a\n", "HDF5"), (b"\x80\x04\x95", "pickle"), (b"", "empty"), (b"hello", "unknown format")],
)
def test_a_file_of_another_format_is_refused_with_what_it_is(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "model.onnx"  # the name doesn't matter
    path.write_bytes(content)
    with pytest.raises(ImportFailed, match=f"{expected}.*supported are"):
        detect(path)


@pytest.mark.parametrize("missing", [1, 10, 100])
def test_a_truncated_onnx_model_is_none(tmp_path: Path, onnx_policy: Callable[..., bytes], missing: int) -> None:
    path = tmp_path / "model"
    path.write_bytes(onnx_policy())
    assert is_onnx(path)
    path.write_bytes(onnx_policy()[:-missing])
    assert not is_onnx(path)
