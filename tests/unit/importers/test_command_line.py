import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_server.config import Schema
from policy_server.importers.onnx_model import DISTRIBUTION_PROPERTY

TUPLE = {DISTRIBUTION_PROPERTY: '{"kind": "MultiCategorical", "sizes": [2, 3]}'}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "policy_server.importers", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refusal(*arguments: object) -> str:
    """Returns the one line of stderr of a command that must fail as the contract says."""
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def schema_file(tmp_path: Path, schema_of: Callable[..., Schema]) -> Callable[..., Path]:
    def write(width: int = 4, *, config: bool = False) -> Path:
        schema = schema_of(width).model_dump(mode="json", by_alias=True)
        document = {
            "name": "mouse",
            "urlPath": "mouse",
            "schema": schema,
            "policies": [{"name": "mouse", "bundle": "bundle"}],
            "auth": "none",
        }
        path = tmp_path / "file.json"
        path.write_text(json.dumps(document if config else schema))
        return path

    return write


def test_fetch_then_convert_makes_a_bundle(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_file: Callable[..., Path]
) -> None:
    fetched = run("fetch", onnx_file().as_uri(), "--output", tmp_path / "fetched")
    assert fetched.returncode == 0, fetched.stderr
    line = json.loads(fetched.stdout)
    assert set(line) == {"uri", "path", "sha256", "bytes"}
    assert line["path"] == str(tmp_path / "fetched" / "model")
    config = schema_file(config=True)
    options = ["--config", config, "--uri", line["uri"], "--sha256", line["sha256"], "--format", "ONNX"]
    converted = run("convert", line["path"], "--output", tmp_path / "bundle", *options)
    assert converted.returncode == 0, converted.stderr
    manifest = json.loads(converted.stdout)
    assert manifest == json.loads((tmp_path / "bundle" / "policy.json").read_text())
    assert manifest["origin"]["uri"] == line["uri"]
    assert manifest["origin"]["sha256"] == line["sha256"]


def test_import_does_both_and_shows_warnings(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_file: Callable[..., Path]
) -> None:
    source = onnx_file(parameters=5, properties=TUPLE)
    result = run("import", source, "--output", tmp_path / "bundle", "--schema", schema_file())
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["distribution"] == {"kind": "MultiCategorical", "sizes": [2, 3]}
    assert [line for line in result.stderr.splitlines() if line.startswith("warning: ")]


def test_contradicting_widths_end_with_one_line_and_no_folder(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_file: Callable[..., Path]
) -> None:
    line = refusal("convert", onnx_file(width=7), "--output", tmp_path / "bundle", "--schema", schema_file(8))
    assert "8" in line
    assert "7" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.json", "source"]


def test_arguments_are_judged_in_the_same_way(tmp_path: Path) -> None:
    assert "--output" in refusal("fetch", "data:,a")
    assert "--timeout" in refusal("fetch", "data:,a", "--output", tmp_path, "--timeout", "-1")
    assert "invalid choice" in refusal("convert", tmp_path, "--output", tmp_path / "b", "--format", "keras")


@pytest.mark.parametrize("content", ["", "{", '{"discreet": true}', "[]"])
def test_a_wrong_schema_file_is_named_before_anything_is_fetched(tmp_path: Path, content: str) -> None:
    (tmp_path / "schema.json").write_text(content)
    line = refusal("import", "http://127.0.0.1:1/", "--output", tmp_path / "b", "--schema", tmp_path / "schema.json")
    assert str(tmp_path / "schema.json") in line


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    result = run("fetch", "file:///nothing", "--output", tmp_path / "a", "--verbose")
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_help_holds_an_example_for_each_command() -> None:
    for command in ((), ("fetch",), ("convert",), ("import",)):
        result = run(*command, "--help")
        assert result.returncode == 0
        assert "examples:" in result.stdout


def test_a_pinned_uri_must_go_on_giving_what_it_first_gave(onnx_file: Callable[..., Path], tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    shutil.copy(onnx_file(width=7), source)
    pins, result = tmp_path / "pins", tmp_path / "result"
    pins.mkdir()
    arguments = ["fetch", f"file://{source}", "--output", tmp_path / "fetched", "--pins", pins, "--result", result]
    assert run(*arguments).returncode == 0
    first = json.loads(result.read_text())
    (pins / hashlib.sha256(f"file://{source}".encode()).hexdigest()[:32]).write_text(first["sha256"])
    assert run(*arguments).returncode == 0
    shutil.copy(onnx_file(width=8), source)
    line = refusal(*arguments)
    assert "other content than was first served" in line
    assert first["sha256"] in line


@pytest.mark.parametrize("step", ["fetch", "convert"])
def test_an_optional_step_that_fails_says_so_and_lets_others_go_on(tmp_path: Path, step: str) -> None:
    result = tmp_path / "result"
    source = "file:///no/such/model" if step == "fetch" else "/no/such/model"
    arguments = [step, source, "--output", tmp_path / "output", "--result", result]
    refusal(*arguments)
    assert not result.exists()
    done = run(*arguments, "--optional")
    assert (done.returncode, done.stdout) == (0, "")
    assert "/no/such/model" in done.stderr
    assert json.loads(result.read_text()) == {"error": done.stderr.strip()}
    assert not (tmp_path / "output").exists()


def test_the_longest_error_is_a_result_that_kubernetes_keeps_whole(tmp_path: Path) -> None:
    result = tmp_path / "result"
    done = run("fetch", f"file:///{'ü' * 5000}", "--output", tmp_path, "--result", result, "--optional")
    assert done.returncode == 0
    assert len(result.read_bytes()) <= 4096
    assert "error" in json.loads(result.read_text())


def test_a_wrong_argument_is_an_error_of_optional_steps_too(tmp_path: Path) -> None:
    assert "--timeout" in refusal("fetch", "data:,a", "--output", tmp_path, "--optional", "--timeout", "-1")


def test_what_would_run_code_is_refused_with_the_remedy_in_one_line(
    tmp_path: Path, schema_file: Callable[..., Path], zip_of: Callable[..., bytes]
) -> None:
    (tmp_path / "agent.zip").write_bytes(zip_of({"data": b"{}", "policy.pth": b""}))
    line = refusal("import", tmp_path / "agent.zip", "--output", tmp_path / "bundle", "--schema", schema_file())
    assert "runs code stored in the file" in line
    assert "`trust: true`" in line
    assert "--trust" in line


def test_the_meaning_of_outputs_can_be_said(
    tmp_path: Path, onnx_file: Callable[..., Path], schema_file: Callable[..., Path]
) -> None:
    options = ["--output", tmp_path / "bundle", "--schema", schema_file(), "--model-output", "QValues"]
    result = run("import", onnx_file(), *options)
    assert json.loads(result.stdout)["distribution"]["kind"] == "QValues"
