"""The objects of some PolicyServers, as files to read and to compare with.

    REFRESH_GOLDEN=1 pytest tests/unit/desired

writes them anew; `git diff` then shows what a change changes in the cluster.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator.api import parse
from policy_operator.desired import Desired, desired_objects
from policy_operator.desired.models import uri_key
from policy_operator.kubernetes_yaml import dump
from policy_operator.server_config import resolve_schema
from policy_operator.settings import Settings

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = Settings(
    server_image="policyserver/server:test",
    importer_image="policyserver/importer-{framework}:test",
    ray_image="policyserver/server-ray:test",
    sdk_image="policyserver/sdk-generator:test",
)
URI = "https://models.example/mouse.zip"
SCHEMA_TEXT = """
observations:
  mouse_row: {type: float}
  cheese_row: {type: int, minimum: 0}
  array_obs: {type: "List[bool]", min_items: 2, max_items: 2}
parameters: {discrete: true, tuple: true, url_path: /mouse/}
"""

CASES: dict[str, tuple[dict[str, Any], Desired]] = {
    "smallest": (
        {"modelUri": URI, "schema": {"observations": [{"name": "row", "type": "float"}]}, "auth": "none"},
        Desired(),
    ),
    "pathmind": (
        {"modelUri": URI, "schemaText": SCHEMA_TEXT, "apiKeySecret": {"name": "mouse-keys"}, "replicas": 3},
        Desired(pins={uri_key(URI): "a" * 64}),
    ),
    "bundle": (
        {
            "modelUri": "https://models.example/mouse-bundle.zip",
            "format": "Bundle",
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "auth": "none",
            "urlPath": "api/v1",
            "replicas": 2,
        },
        Desired(),
    ),
    "s3-with-digest": (
        {
            "modelUri": "s3://models/mouse.zip",
            "sha256": "b" * 64,
            "modelCredentials": {"name": "mouse-s3"},
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "auth": "none",
        },
        Desired(),
    ),
    "volume": (
        {
            "modelUri": "pvc://trained/mouse.zip",
            "modelCredentials": {"name": "not-needed"},
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "auth": "none",
        },
        Desired(),
    ),
    "router": (
        {
            "policies": [
                {"name": "old", "modelUri": URI, "weight": 95},
                {
                    "name": "new",
                    "modelUri": "s3://models/new.onnx",
                    "sha256": "c" * 64,
                    "format": "ONNX",
                    "modelCredentials": {"name": "mouse-s3"},
                    "weight": 5,
                },
                {"name": "next", "modelUri": "pvc://trained/next.zip", "shadow": True},
            ],
            "router": {"mode": "ABTest", "fallback": "old", "decisionLog": {"sampleRate": 0.5}},
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "apiKeySecret": {"name": "mouse-keys"},
        },
        Desired(pins={uri_key(URI): "a" * 64}),
    ),
    "router-with-redis": (
        {
            "policies": [{"name": "old", "modelUri": URI}, {"name": "new", "modelUri": f"{URI}?new"}],
            "router": {
                "mode": "EpsilonGreedy",
                "reward": {},
                "store": {"redis": {"url": "redis://valkey:6379/1", "passwordSecret": {"name": "valkey"}}},
            },
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "auth": "none",
            "replicas": 2,
        },
        Desired(),
    ),
    "clients": (
        {
            "policies": [{"name": "old", "modelUri": URI}, {"name": "new", "modelUri": f"{URI}?new"}],
            "router": {"mode": "ThompsonSampling"},
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "apiKeySecret": {"name": "mouse-keys"},
            "clients": ["typescript", "python"],
        },
        Desired(),
    ),
    "ray": (
        {
            "modelUri": URI,
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "auth": "none",
            "engine": "RayServe",
            "ray": {"scaling": {"minReplicas": 1, "maxReplicas": 4, "cpus": 0.5}},
            "resources": {"limits": {"cpu": 4, "memory": "4Gi"}},
        },
        Desired(),
    ),
    "ray-workers": (
        {
            "policies": [
                {"name": "old", "modelUri": URI},
                {"name": "new", "modelUri": URI, "scaling": {"replicas": 3}},
            ],
            "router": {"mode": "ThompsonSampling"},
            "schema": {"observations": [{"name": "row", "type": "float"}]},
            "apiKeySecret": {"name": "mouse-keys"},
            "engine": "RayServe",
            "ray": {"workers": {"minReplicas": 2, "maxReplicas": 6, "resources": {"limits": {"cpu": 4}}}},
        },
        Desired(pins={uri_key(URI): "a" * 64}),
    ),
    "without-route": (
        {"modelUri": URI, "schema": {"observations": []}, "auth": "none", "urlPath": "taken", "replicas": 0},
        Desired(routed=False, monitored=False),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_objects_are_those_of_the_golden_file(name: str) -> None:
    spec, given = CASES[name]
    server = parse(
        {
            "apiVersion": "policyserver.io/v1alpha1",
            "kind": "PolicyServer",
            "metadata": {"name": "mouse", "namespace": "cats", "uid": "6f1c-uid"},
            "spec": spec,
        }
    )
    text = dump(desired_objects(server, resolve_schema(server, None), SETTINGS, given))
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("REFRESH_GOLDEN"):
        file.write_text(text)
    assert list(yaml.safe_load_all(text)) == list(yaml.safe_load_all(file.read_text()))
    assert text == file.read_text()


def test_every_golden_file_has_its_case() -> None:
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == set(CASES)
