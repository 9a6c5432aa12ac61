from pathlib import Path

import yaml

from tests.serving import run

SAMPLE = Path(__file__).parents[2] / "manifests" / "examples" / "cartpole.yaml"
PATHMIND = """\
observations:
  zebra: {type: float}
  apple: {type: "List[int]", min_items: 2, max_items: 2}
parameters: {discrete: true, tuple: false, api_key: 0123secret, url_path: a/b}
"""


def test_render_prints_the_objects_that_the_operator_makes(tmp_path: Path) -> None:
    done = run("render", str(SAMPLE), cache=tmp_path)
    assert done.returncode == 0, done.stderr
    kinds = [document["kind"] for document in yaml.safe_load_all(done.stdout)]
    assert kinds == ["ServiceAccount", "ConfigMap", "Deployment", "Service", "Ingress", "ServiceMonitor"]
    assert "change-me" not in done.stdout


def test_render_reads_the_standard_input(tmp_path: Path) -> None:
    from_file = run("render", str(SAMPLE), cache=tmp_path)
    assert run("render", "-", cache=tmp_path, stdin=SAMPLE.read_text()).stdout == from_file.stdout


def test_schema_convert_keeps_the_order_and_puts_the_key_into_a_secret(tmp_path: Path) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text(PATHMIND)
    done = run("schema", "convert", str(schema), "--name", "mouse", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    server, secret = yaml.safe_load_all(done.stdout)
    assert [one["name"] for one in server["spec"]["schema"]["observations"]] == ["zebra", "apple"]
    assert server["spec"]["urlPath"] == "a/b"
    assert server["spec"]["apiKeySecret"]["name"] == secret["metadata"]["name"]
    assert secret["stringData"] == {"key": "0123secret"}


def test_import_makes_a_bundle_and_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text(PATHMIND.replace("min_items: 2, max_items: 2", "min_items: 3, max_items: 3"))
    bundle = Path(__file__).parents[2] / "examples" / "cartpole" / "bundle"
    arguments = ["import", str(bundle), "-o", str(tmp_path / "out"), "--schema", str(tmp_path / "schema.yaml")]
    done = run(*arguments, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 observations in, Categorical 2 out" in done.stdout
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["policy.json", "policy.onnx"]


def test_import_refuses_a_schema_of_other_width_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text(PATHMIND)
    bundle = Path(__file__).parents[2] / "examples" / "cartpole" / "bundle"
    arguments = ["import", str(bundle), "-o", str(tmp_path / "out"), "--schema", str(tmp_path / "schema.yaml")]
    done = run(*arguments, cache=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the schema's observations make 3 values, the model takes 4")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_help_is_there_for_every_command(tmp_path: Path) -> None:
    for command in ([], ["up"], ["import"], ["render"], ["schema"], ["schema", "convert"]):
        done = run(*command, "--help", cache=tmp_path)
        assert done.returncode == 0
        assert "Usage: " in done.stdout
