"""What `docker compose` is told, as far as it can be judged without Docker."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from policy_operator.manifests import read
from policy_server.config import ServerConfig

MANIFESTS = Path(__file__).parents[3] / "manifests"
COMPOSE = MANIFESTS / "compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]


def mounted(service: str) -> dict[str, Path]:
    """What lies where in a container."""
    parts = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {target: (MANIFESTS / source).resolve() for source, target, *_ in parts if source.startswith(".")}


def test_the_file_is_a_compose_file() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_all_that_is_mounted_is_here() -> None:
    for service in SERVICES:
        assert all(source.exists() for source in mounted(service).values())
    build = SERVICES["server"]["build"]
    assert f"AS {build['target']}\n" in (MANIFESTS / build["context"] / build["dockerfile"]).read_text()


def test_nothing_can_be_reached_from_elsewhere() -> None:
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service["ports"])


def test_the_server_is_told_what_the_example_says() -> None:
    (example,) = read([MANIFESTS / "examples" / "cartpole.yaml"]).resolve()
    config = ServerConfig.model_validate_json((MANIFESTS / "compose" / "server.json").read_text())
    assert (config.name, config.url_path) == (example.server.metadata.name, example.url_path)
    assert config.observation_schema == example.schema.schema
    inside = mounted("server")
    assert inside[str(config.policies[0].bundle)].name == "bundle"
    (key,) = SERVICES["server"]["configs"]
    assert Path(key["target"]).parent == config.api_keys_directory


def test_prometheus_scrapes_the_port_of_the_metrics() -> None:
    (job,) = yaml.safe_load(mounted("prometheus")["/etc/prometheus/prometheus.yml"].read_text())["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["server:8080"]


def test_grafana_is_told_of_prometheus_and_of_the_dashboards() -> None:
    inside = mounted("grafana")
    places = {target.split("/")[4]: source for target, source in inside.items() if "provisioning" in target}
    provisioning = {what: yaml.safe_load(source.read_text()) for what, source in places.items()}
    assert provisioning["datasources"]["datasources"][0]["url"] == "http://prometheus:9090"
    folder = inside[provisioning["dashboards"]["providers"][0]["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (folder / Path(home).name).exists()
