"""`policyserver up` where Ray runs the policies."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from policy_server.bundle import Categorical
from tests.bundles import config_text, floats, write_linear_bundle
from tests.integration.ray.load import Load
from tests.integration.ray.ray_processes import REPLICA, alive, descendants, titled
from tests.integration.test_up import manifest
from tests.serving import Up, request, wait_for

OBSERVATION = {"a": 1.0, "b": 2.0, "c": 3.0}


def replaced(file: Path, text: str) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.replace(file)


def test_an_edit_changes_the_replicas_without_a_failed_request_and_the_end_leaves_none(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=4))
    file = tmp_path / "policyserver.yaml"
    file.write_text(manifest(bundle))
    with Up(file, options=("--engine=ray",), cache=tmp_path) as up:
        former = titled(up.process.pid, REPLICA)
        assert len(former) == 1
        with Load([up.port], OBSERVATION, clients=2) as load:
            load.until_answered(20)
            spec: dict[str, Any] = {"engine": "RayServe", "ray": {"scaling": {"replicas": 2}}}
            replaced(file, manifest(bundle, **spec))
            load.until(lambda: len(set(titled(up.process.pid, REPLICA)) - set(former)) == 2, "two more replicas")
            load.until(lambda: not alive(former[0]), "the end of the former one")
            load.until_answered(20)
        assert set(load.statuses) == {200}
        assert load.broken == 0
        begun = descendants(up.process.pid)
        assert any("raylet" in title for title in begun.values())
        os.kill(up.process.pid, signal.SIGTERM)
        assert up.process.wait(60) == 0
        assert [title for pid, title in begun.items() if alive(pid)] == []


def test_the_manifest_alone_has_ray_serve_and_the_option_overrules_it(tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=4))
    file = tmp_path / "policyserver.yaml"
    document = yaml.safe_load(manifest(bundle, engine="RayServe").removesuffix("---\n"))
    file.write_text(yaml.safe_dump(document))
    with Up(file, cache=tmp_path) as up:
        assert titled(up.process.pid, REPLICA)
    with Up(file, options=("--engine=in-process",), cache=tmp_path) as up:
        assert request(f"{up.url}/predict/", OBSERVATION).status == 200
        assert not titled(up.process.pid, REPLICA)


def test_a_killed_up_leaves_nothing_of_ray_behind(tmp_path: Path) -> None:
    file = tmp_path / "policyserver.yaml"
    file.write_text(manifest(write_linear_bundle(tmp_path / "bundle", Categorical(size=4)), engine="RayServe"))
    with Up(file, cache=tmp_path) as up:
        begun = descendants(up.process.pid)
        up.process.kill()
        wait_for(lambda: not any(map(alive, begun)), "the end of what it began")


def refused(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that can't begin to its end."""
    bundle = write_linear_bundle(folder / "bundle", Categorical(size=2))
    config = folder / "server.json"
    config.write_text(config_text(bundle, floats("a", "b", "c"), ray={}))
    command = [sys.executable, "-m", "policy_server", f"--config={config}", "--host=127.0.0.1", *options]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_ray_the_remedy_is_said(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "ray.py").write_text("raise ModuleNotFoundError('No module named ray', name='ray')\n")
    ended = refused(tmp_path, PYTHONPATH=str(missing))
    assert ended.returncode == 2
    assert "error: engine RayServe needs Ray: pip install 'policyserver[ray]'" in ended.stderr


def test_several_processes_are_refused(tmp_path: Path) -> None:
    ended = refused(tmp_path, "--processes=2", "--port=0", "--metrics-port=0")
    assert ended.returncode == 2
    assert "leave out --processes, and give the policies more replicas" in ended.stderr
