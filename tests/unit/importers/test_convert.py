import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from policy_server.bundle import Categorical, DiagonalGaussian, MultiCategorical, read_bundle
from policy_server.config import ModelFormat, Schema
from policy_server.errors import BundleError, ImportFailed, PolicyServerError, SchemaMismatch
from policy_server.importers.convert import STAGES, convert
from policy_server.importers.digest import sha256_of
from policy_server.importers.onnx_model import DISTRIBUTION_PROPERTY

TUPLE = {DISTRIBUTION_PROPERTY: '{"kind": "MultiCategorical", "sizes": [2, 3]}'}


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Converts, expects the refusal, and that it leaves nothing behind; returns the message."""

    def run(source: Path, **options: Any) -> str:
        with pytest.raises(PolicyServerError) as caught:
            convert(source, tmp_path / "out" / "bundle", **options)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    return run


@pytest.fixture
def bundle(tmp_path: Path, onnx_file: Callable[..., Path]) -> Path:
    convert(onnx_file(parameters=5, properties=TUPLE), tmp_path / "bundle", uri="https://u:p@models.example/a.onnx?k=s")
    return tmp_path / "bundle"


def test_an_onnx_model_becomes_a_bundle_unchanged(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    source = onnx_file()
    stages: list[str] = []
    converted = convert(source, tmp_path / "bundle", schema=schema_of(), stage=stages.append)
    model, manifest = read_bundle(tmp_path / "bundle")
    assert model == source.read_bytes()
    assert manifest == converted.manifest
    assert (manifest.input, manifest.output, manifest.observation_size) == ("obs", "logits", 4)
    assert manifest.distribution == Categorical(size=2)
    assert manifest.origin.format == "ONNX"
    assert manifest.origin.sha256 == hashlib.sha256(model).hexdigest()
    assert "onnxruntime" in manifest.origin.importer
    assert tuple(stages) == STAGES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "source"]


def test_plain_onnx_needs_neither_the_onnx_package_nor_a_framework(
    tmp_path: Path, onnx_file: Callable[..., Path]
) -> None:
    source = onnx_file(parameters=5, properties=TUPLE)
    program = """
import sys
for name in ("onnx", "tensorflow", "tf2onnx", "fsspec", "aiohttp"):
    sys.modules[name] = None
from pathlib import Path
from policy_server.importers.convert import convert
convert(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    subprocess.run([sys.executable, "-c", program, str(source), str(tmp_path / "bundle")], check=True)
    assert read_bundle(tmp_path / "bundle")


def test_onnx_metadata_says_the_distribution(bundle: Path) -> None:
    _, manifest = read_bundle(bundle)
    assert manifest.distribution == MultiCategorical(sizes=[2, 3])
    assert manifest.origin.uri == "https://models.example/a.onnx"


def test_a_continuous_schema_makes_a_gaussian(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    converted = convert(onnx_file(parameters=6), tmp_path / "bundle", schema=schema_of(discrete=False))
    assert converted.manifest.distribution == DiagonalGaussian(size=3)


def test_an_odd_number_of_parameters_is_no_gaussian(
    refused: Callable[..., str], onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    assert "gives 5 parameters, an odd number" in refused(onnx_file(parameters=5), schema=schema_of(discrete=False))


def test_a_tuple_without_sizes_says_where_to_put_them(
    refused: Callable[..., str], onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    message = refused(onnx_file(parameters=5), schema=schema_of(several=True))
    assert "onnx.helper.set_model_props" in message
    assert DISTRIBUTION_PROPERTY in message


def test_without_schema_and_metadata_the_remedy_is_named(
    refused: Callable[..., str], onnx_file: Callable[..., Path]
) -> None:
    assert "give a schema, or put it into the model's metadata" in refused(onnx_file())


@pytest.mark.parametrize(
    ("said", "expected"),
    [("{", "is wrong"), ('{"kind": "Beta"}', "is wrong"), ('{"kind": "Categorical", "size": 7}', "gives 2 .* needs 7")],
)
def test_wrong_metadata_is_refused(
    refused: Callable[..., str], onnx_file: Callable[..., Path], said: str, expected: str
) -> None:
    import re  # noqa: PLC0415

    assert re.search(expected, refused(onnx_file(properties={DISTRIBUTION_PROPERTY: said})))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"input_type": TensorProto.INT64}, "obs int64[batch, 4]; needed is one float32 input [batch, n]"),
        ({"extra_inputs": ["state_in_0"]}, "state_in_0 float[batch, 3]"),
        ({"input_shape": [1, 4]}, "fixed batch size 1"),
        ({"input_shape": ["batch", "width"]}, "no fixed width"),
        ({"input_shape": ["batch", 2, 4]}, "obs float[batch, 2, 4]"),
        ({"outputs": ["value", "something"]}, "value float[batch, 2], something float[batch, 2]"),
        ({"weights": np.full((4, 2), np.nan, np.float32)}, "isn't finite"),
        ({"external": "weights.bin"}, "external data"),
        ({"external": "/etc/hostname"}, "external data"),
    ],
)
def test_an_onnx_model_of_another_shape_is_refused_with_what_was_found(
    refused: Callable[..., str],
    onnx_file: Callable[..., Path],
    schema_of: Callable[..., Schema],
    options: dict[str, object],
    expected: str,
) -> None:
    assert expected in refused(onnx_file(**options), schema=schema_of())


def test_weights_in_other_files_are_not_read_even_where_they_are_there(
    refused: Callable[..., str],
    onnx_file: Callable[..., Path],
    schema_of: Callable[..., Schema],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(32))
    monkeypatch.chdir(tmp_path)
    assert "external data" in refused(onnx_file(external="weights.bin"), schema=schema_of())


def test_among_several_outputs_the_parameters_are_known_by_name(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    source = onnx_file(outputs=["value", "logits", "action_dist_inputs"])
    assert convert(source, tmp_path / "bundle", schema=schema_of()).manifest.output == "action_dist_inputs"


def test_contradicting_widths_are_refused_with_both_numbers(
    refused: Callable[..., str], onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    message = refused(onnx_file(width=7), schema=schema_of(8))
    assert "make 8 values, the model takes 7" in message


def test_what_the_model_overrules_is_a_warning(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    converted = convert(onnx_file(parameters=5, properties=TUPLE), tmp_path / "bundle", schema=schema_of())
    assert "2 action component(s)" in converted.warnings[0]


def test_a_bundle_is_copied_as_it_is(bundle: Path, tmp_path: Path, zip_of: Callable[..., bytes]) -> None:
    archive = tmp_path / "bundle.zip"
    archive.write_bytes(zip_of({f"mouse/{path.name}": path.read_bytes() for path in bundle.iterdir()}))
    for source in (bundle, archive):
        convert(source, tmp_path / "copy", uri="https://models.example/bundle.zip")
        assert sha256_of(tmp_path / "copy") == sha256_of(bundle)


def test_a_tampered_bundle_is_refused(bundle: Path, refused: Callable[..., str]) -> None:
    with (bundle / "policy.onnx").open("ab") as model:
        model.write(b"\0")
    assert "has the digest" in refused(bundle)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("observationSize", 9, "observations 9, the model 4"), ("output", "other", "output other, the model logits")],
)
def test_a_bundle_whose_manifest_is_wrong_about_its_model_is_refused(
    bundle: Path, refused: Callable[..., str], field: str, value: object, expected: str
) -> None:
    manifest = json.loads((bundle / "policy.json").read_text())
    (bundle / "policy.json").write_text(json.dumps(manifest | {field: value}))
    assert expected in refused(bundle)


def test_a_bundle_is_checked_against_the_schema(bundle: Path, tmp_path: Path, schema_of: Callable[..., Schema]) -> None:
    with pytest.raises(SchemaMismatch, match="9 values, the model takes 4"):
        convert(bundle, tmp_path / "copy", schema=schema_of(9))


def test_a_bundle_that_is_there_is_replaced_and_kept_where_the_next_fails(
    bundle: Path, tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    before = sha256_of(bundle)
    with pytest.raises(SchemaMismatch):
        convert(onnx_file(), bundle, schema=schema_of(9))
    assert sha256_of(bundle) == before
    convert(onnx_file(), bundle, schema=schema_of())
    assert read_bundle(bundle)[1].distribution == Categorical(size=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "source"]


def test_a_folder_that_holds_something_else_is_never_replaced(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ImportFailed, match="is no bundle"):
        convert(onnx_file(), tmp_path / "mine", schema=schema_of())
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_another_digest_than_the_pinned_one_is_refused(
    refused: Callable[..., str], onnx_file: Callable[..., Path]
) -> None:
    assert "expected was 00" in refused(onnx_file(), sha256="00")


def test_another_format_than_the_expected_one_is_refused(
    refused: Callable[..., str], onnx_file: Callable[..., Path]
) -> None:
    message = refused(onnx_file(), expected=ModelFormat.SAVED_MODEL)
    assert "format ONNX, --format says SavedModel" in message


def test_a_source_that_is_not_there_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "nothing doesn't exist" in refused(tmp_path / "nothing")


def test_a_damaged_onnx_model_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08\x3a\x03abc")
    assert "onnxruntime can't load" in refused(path)


def test_errors_come_back_from_a_process_of_its_own(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_of: Callable[..., Schema]
) -> None:
    with pytest.raises(SchemaMismatch, match="9 values"):
        convert(onnx_file(), tmp_path / "bundle", schema=schema_of(9), seconds=300)
    with pytest.raises(BundleError, match="is no bundle"):
        read_bundle(tmp_path / "bundle")
