"""`policyserver clients` and `policyserver up`, as a person asks them for SDKs."""

from pathlib import Path

import yaml

from policy_server.bundle import Categorical
from tests.bundles import floats, write_linear_bundle
from tests.ports import free_port
from tests.serving import Up, request, run

SAMPLE = Path(__file__).parents[3] / "manifests" / "examples" / "cartpole.yaml"


def manifest(folder: Path, *names: str, **spec: object) -> Path:
    """Writes PolicyServers for everyone into a file."""
    bundle = write_linear_bundle(folder / "bundle", Categorical(size=2))
    documents = [
        {
            "apiVersion": "policyserver.io/v1alpha1",
            "kind": "PolicyServer",
            "metadata": {"name": name},
            "spec": {"modelUri": f"file://{bundle}", "schema": {"observations": floats("a", "b", "c")}, "auth": "none"}
            | spec,
        }
        for name in names
    ]
    file = folder / "policyservers.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return file


def test_sdks_of_a_manifest_are_folders_of_the_languages_asked_for(tmp_path: Path) -> None:
    output = tmp_path / "sdks"
    for _ in range(2):  # those that are there are replaced
        done = run("clients", str(SAMPLE), "-l", "r", "-l", "python", "-o", str(output), cache=tmp_path)
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in output.iterdir()) == ["cartpole-client-python", "cartpole-client-r"]
    configuration = (output / "cartpole-client-python" / "cartpole_client" / "configuration.py").read_text()
    assert '"http://localhost:8000/cartpole"' in configuration


def test_a_manifest_must_have_one_policyserver(tmp_path: Path) -> None:
    file = manifest(tmp_path, "first", "second")
    done = run("clients", str(file), "-o", str(tmp_path / "sdks"), cache=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {file}: there are 2 PolicyServers; there must be one\n"


def test_a_url_where_nobody_answers_is_told_in_one_line(tmp_path: Path) -> None:
    done = run("clients", f"http://127.0.0.1:{free_port()}/mouse", "-o", str(tmp_path / "sdks"), cache=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: http://127.0.0.1:")
    assert "Connection refused; give the URL of a PolicyServer that runs" in done.stderr


def test_up_serves_the_sdks_that_a_policyserver_names(tmp_path: Path) -> None:
    file = manifest(tmp_path, "mouse", clients=["python"])
    with Up(file, cache=tmp_path) as up:
        assert f"SDKs     {up.url}/default/mouse/clients" in up.output
        listed = request(f"{up.url}/clients").body
        assert listed == {"clients": [{"language": "python", "url": "/clients?language=python"}]}
