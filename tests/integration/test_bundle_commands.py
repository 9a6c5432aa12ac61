"""`policyserver inspect`, `predict` and `schema infer`, as a person runs them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from policy_operator.api import parse
from policy_server.bundle import DiagonalGaussian, read_bundle
from tests.bundles import write_linear_bundle
from tests.serving import Up, run

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "examples" / "cartpole" / "bundle"
SAMPLE = ROOT / "manifests" / "examples" / "cartpole.yaml"
FALLING = {"cart_position": 0.0, "cart_velocity": 0.0, "pole_angle": 0.1, "pole_angular_velocity": 1.0}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The sample policy."""
    with Up(SAMPLE, cache=tmp_path_factory.mktemp("commands")) as up:
        yield up


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command ends with."""
    assert done.returncode == 2
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_inspect_shows_what_a_bundle_says_of_itself(tmp_path: Path) -> None:
    model, manifest = read_bundle(BUNDLE)
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        shown = read(run("inspect", str(BUNDLE), "--output", output, cache=tmp_path).stdout)
        assert manifest.model_dump(mode="json", by_alias=True).items() <= shown.items()
        assert (shown["modelBytes"], shown["discrete"], shown["tuple"]) == (len(model), True, False)
        assert 0 < shown["inferenceSeconds"] < 1
    lines = dict(line.split(maxsplit=1) for line in run("inspect", str(BUNDLE), cache=tmp_path).stdout.splitlines())
    assert lines["distribution.kind"] == "Categorical"
    assert lines["observationSize"] == "4"


@pytest.mark.parametrize("command", [["inspect"], ["schema", "infer"], ["predict", "[1]", "--local"]])
def test_a_folder_that_is_no_bundle_is_named_with_the_remedy(command: list[str], tmp_path: Path) -> None:
    line = refusal(run(*command, str(tmp_path), cache=tmp_path))
    assert f"{tmp_path} is no bundle" in line
    assert "policyserver import" in line


def test_a_changed_bundle_is_refused(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", DiagonalGaussian(size=1))
    (bundle / "policy.onnx").write_bytes(b"other")
    assert "import the model again" in refusal(run("inspect", str(bundle), cache=tmp_path))


@pytest.mark.parametrize("observation", [json.dumps(FALLING), "[0, 0, 0.1, 1]", "-"], ids=["object", "list", "stdin"])
def test_a_bundle_answers_as_its_server_does(observation: str, served: Up, tmp_path: Path) -> None:
    stdin = json.dumps(FALLING) if observation == "-" else None
    local = ["--local", str(BUNDLE), "--output", "json", "--deterministic"]
    mine = json.loads(run("predict", observation, *local, cache=tmp_path, stdin=stdin).stdout)
    assert mine["actions"] == [1]
    assert mine["distribution"]["1"] == pytest.approx(mine["probability"])
    key = tmp_path / "key"
    key.write_text("change-me\n")
    asked = ["--url", f"{served.url}/cartpole", "--api-key-file", str(key), "--output", "json"]
    answer = json.loads(run("predict", observation, *asked, cache=tmp_path, stdin=stdin).stdout)
    (action,) = answer["actions"]
    assert answer["probability"] == pytest.approx(mine["distribution"][str(action)], rel=1e-6)


def test_the_same_seed_draws_the_same_action(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", DiagonalGaussian(size=1))
    command = ["predict", "[0.1, 0.2, 0.3]", "--local", str(bundle), "--seed"]
    first, again, other = (run(*command, seed, cache=tmp_path).stdout for seed in ("1", "1", "2"))
    assert first == again != other
    assert "distribution" not in first  # real numbers can't be listed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["[1]"], "Give one of --url and --local"),
        (["[1]", "--local", "a", "--url", "http://b"], "Give one of --url and --local"),
        (["[1]", "--url", "http://b", "--deterministic"], "--deterministic and --seed are for --local"),
        (["{a: 1}", "--local", str(BUNDLE)], "the observation is no JSON"),
        (["3", "--local", str(BUNDLE)], "neither an object"),
        (["[1, 2]", "--local", str(BUNDLE)], "a JSON list of 4 numbers"),
        (['[1, 2, 3, "x"]', "--local", str(BUNDLE)], "rows of numbers"),
        (["[1]", "--url", "localhost"], "doesn't begin with http"),
        (["[1]", "--url", "http://localhost", "--api-key-file", "nowhere"], "nowhere: No such file"),
    ],
)
def test_what_can_not_be_predicted_is_said_in_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    assert said in refusal(run("predict", *arguments, cache=tmp_path))


def test_a_refused_observation_is_named(served: Up, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("change-me")
    asked = ["--url", f"{served.url}/cartpole", "--api-key-file", str(key)]
    assert "cart_velocity: Field required" in refusal(run("predict", '{"cart_position": 0}', *asked, cache=tmp_path))


def test_an_inferred_schema_becomes_a_policyserver(tmp_path: Path) -> None:
    text = run("schema", "infer", "CartPole-v1", cache=tmp_path).stdout
    (tmp_path / "schema.yaml").write_text(text)
    converted = run("schema", "convert", str(tmp_path / "schema.yaml"), cache=tmp_path)
    schema = parse(yaml.safe_load(converted.stdout)).spec.observation_schema
    spec = json.loads(run("schema", "infer", "CartPole-v1", "-o", "json", cache=tmp_path).stdout)
    assert schema is not None
    assert schema.model_dump(mode="json", by_alias=True, exclude_none=True) == spec
    assert [each["name"] for each in spec["observations"]] == ["obs_0", "obs_1", "obs_2", "obs_3"]


def test_a_bundles_schema_fits_it(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", DiagonalGaussian(size=2))
    (tmp_path / "schema.yaml").write_text(run("schema", "infer", str(bundle), cache=tmp_path).stdout)
    options = ["-o", str(tmp_path / "again"), "--schema", str(tmp_path / "schema.yaml")]
    assert run("import", str(bundle), *options, cache=tmp_path).returncode == 0


def test_a_schema_can_be_shown_as_a_table(tmp_path: Path) -> None:
    (tmp_path / "seen.csv").write_text("speed,open\n0.5,true\n")
    shown = run("schema", "infer", str(tmp_path / "seen.csv"), "--continuous", "-o", "table", cache=tmp_path).stdout
    assert [line.split() for line in shown.splitlines()] == [
        ["OBSERVATION", "TYPE", "ITEMS", "MINIMUM", "MAXIMUM"],
        ["speed", "float"],
        ["open", "bool"],
        ["actions:", "continuous"],
    ]


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    assert "seen.csv: No such file" in refusal(run("schema", "infer", "seen.csv", cache=tmp_path))


@pytest.mark.parametrize("command", [["inspect"], ["predict"], ["schema", "infer"]])
def test_help_shows_examples(command: list[str], tmp_path: Path) -> None:
    done = run(*command, "--help", cache=tmp_path)
    assert done.returncode == 0
    assert f"policyserver {' '.join(command)} " in done.stdout.split("Example")[1]
