from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from policy_server.config import ModelFormat
from policy_server.errors import ImportFailed
from policy_server.importers.detect import detect, is_model_archive, is_onnx


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
        (("config.json", "metadata.json", "model.weights.h5"), ModelFormat.KERAS, "."),
        (("rllib_checkpoint.json", "policies/default_policy/rllib_checkpoint.json"), ModelFormat.RLLIB, "."),
        (("mouse/class_and_ctor_args.pkl", "mouse/module_state.pkl"), ModelFormat.RLLIB, "mouse"),
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


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (("data", "policy.pth", "_stable_baselines3_version"), ModelFormat.STABLE_BASELINES3),
        (("mouse/constants.pkl", "mouse/data.pkl", "mouse/version", "mouse/code/a.py"), ModelFormat.TORCH_SCRIPT),
        (("mouse/archive_format", "mouse/models/model.json"), ModelFormat.TORCH_EXPORT),
        (("serialized_exported_program.json", "version"), ModelFormat.TORCH_EXPORT),
    ],
)
def test_an_archive_of_a_framework_is_known_by_its_members(
    tmp_path: Path, zip_of: Callable[..., bytes], members: tuple[str, ...], expected: ModelFormat
) -> None:
    path = tmp_path / "model.onnx"  # the name doesn't matter
    path.write_bytes(zip_of(dict.fromkeys(members, b"x")))
    assert is_model_archive(path)
    assert detect(path) == detect(tmp_path)  # the folder around it holds nothing else
    assert detect(path).format is expected


def test_other_archives_are_none_of_a_framework(tmp_path: Path, zip_of: Callable[..., bytes]) -> None:
    (tmp_path / "model.zip").write_bytes(zip_of({"policy.json": b"{}", "policy.onnx": b""}))
    assert not is_model_archive(tmp_path / "model.zip")


def test_an_hdf5_file_with_a_model_is_keras(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model", "w") as file:
        file.attrs["model_config"] = "{}"
    assert detect(tmp_path / "model").format is ModelFormat.KERAS


def test_of_several_models_the_one_of_the_said_format_is_meant(folder: Callable[..., Path]) -> None:
    root = folder("a/saved_model.pb", "b.onnx", "policy.json", "policy.onnx")
    assert detect(root, ModelFormat.SAVED_MODEL).path == root / "a"
    (root / "policy.onnx").unlink()
    assert detect(root, ModelFormat.ONNX).path == root / "b.onnx"


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
