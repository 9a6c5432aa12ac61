"""A PolicyServer makes one configuration of its server, in a cluster and on a laptop."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policy_operator.api import parse
from policy_operator.errors import InvalidPolicyServerError
from policy_operator.server_config import (
    ResolvedSchema,
    SharedStore,
    resolve_schema,
    router_settings,
    server_config,
    store_of,
    url_path,
)
from policy_server.config import (
    PolicyConfig,
    RayConfig,
    RouterSettingsFile,
    RoutingConfig,
    ScalingConfig,
    ServerConfig,
    StoreConfig,
)
from tests.engine_cases import by_ray
from tests.routing_cases import policy, routed

Make = Callable[..., dict[str, Any]]
BUNDLES = {"mouse": Path("/bundle")}
KEYS = Path("/keys")
FROM_CONFIG_MAP = {"configMapKeyRef": {"name": "mouse-schema", "key": "schema.yaml"}}
ORDERED = "parameters: {discrete: true}\nobservations: {zebra: {type: float}, apple: {type: int}, mole: {type: bool}}"


def refused(spec: dict[str, Any], config_map: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(InvalidPolicyServerError) as raised:
        url_path(server := parse(spec), resolve_schema(server, config_map))
    return list(raised.value.problems)


def test_the_configuration_says_all_that_the_resource_says(document: Make) -> None:
    server = parse(document(urlPath="/api/v1/"))
    config = server_config(server, resolve_schema(server, None), BUNDLES, KEYS, None)
    assert config == ServerConfig(
        name="mouse",
        url_path="api/v1",
        observation_schema=server.spec.observation_schema,
        policies=[PolicyConfig(name="mouse", bundle=BUNDLES["mouse"])],
        auth="apiKey",
        api_keys_directory=KEYS,
    )


def test_no_key_is_read_where_none_is_needed(document: Make) -> None:
    server = parse(document(apiKeySecret=None, auth="none"))
    config = server_config(server, resolve_schema(server, None), BUNDLES, KEYS, None)
    assert (config.auth, config.api_keys_directory) == ("none", None)


@pytest.mark.parametrize(
    "spec",
    [
        {"schemaText": ORDERED},
        {"schemaFrom": FROM_CONFIG_MAP},
        {
            "schema": {
                "observations": [
                    {"name": "zebra", "type": "float"},
                    {"name": "apple", "type": "int"},
                    {"name": "mole", "type": "bool"},
                ]
            }
        },
    ],
)
def test_observations_reach_the_server_in_the_order_they_were_written(document: Make, spec: dict[str, Any]) -> None:
    server = parse(document(**{"schema": None} | spec))
    config = server_config(server, resolve_schema(server, {"schema.yaml": ORDERED}), BUNDLES, KEYS, None)
    written = config.model_dump_json(by_alias=True)
    assert [one["name"] for one in json.loads(written)["schema"]["observations"]] == ["zebra", "apple", "mole"]
    assert ServerConfig.model_validate_json(written) == config


@pytest.mark.parametrize(
    ("spec_path", "text_path", "expected"),
    [
        (None, None, "lab/mouse"),
        (None, "/app/v1/", "app/v1"),
        ("api/v1", "app/v1", "api/v1"),
        ("api/v1", "docs", "api/v1"),
    ],
)
def test_the_spec_beats_the_text_and_the_text_beats_the_default(
    document: Make, spec_path: str | None, text_path: str | None, expected: str
) -> None:
    server = parse(document(urlPath=spec_path))
    schema = server.spec.observation_schema
    assert schema is not None
    assert url_path(server, ResolvedSchema(schema, text_path)) == expected


def test_a_path_that_hides_a_route_is_refused_wherever_it_comes_from(document: Make) -> None:
    (problem,) = refused(document(metadata={"namespace": "docs"}))
    assert problem.startswith(
        "spec.urlPath, by default NAMESPACE/NAME: docs/mouse must not start with a route of the server itself"
    )
    assert problem.endswith("; set spec.urlPath")
    (problem,) = refused(
        document(schema=None, schemaText="parameters: {discrete: true, url_path: api/v1.0}"),
    )
    assert problem.startswith("url_path in the schema's text: api/v1.0 must not start with a route")
    assert problem.endswith("; set spec.urlPath")


def test_what_is_wrong_in_a_text_is_told_with_its_line_and_place(document: Make) -> None:
    text = "parameters: {discrete: true}\nobservations:\n  a: {type: int, minimum: low}\n  b: {typ: int}"
    problems = [
        "line 3: observations.a.minimum: must be a valid number",
        "line 4: observations.b.typ: unknown; there are type, min_items, minItems, max_items, maxItems, minimum,"
        " maximum, default, mask, description",
        "line 4: observations.b: has no type; give it one of int, float, bool, List[int], List[float], List[bool]",
    ]
    assert refused(document(schema=None, schemaText=text)) == [f"spec.schemaText: {problem}" for problem in problems]
    assert refused(document(schema=None, schemaFrom=FROM_CONFIG_MAP), {"schema.yaml": text}) == [
        f"ConfigMap mouse-schema, schema.yaml: {problem}" for problem in problems
    ]


@pytest.mark.parametrize(
    "text",
    [
        "parameters: {discrete: true, api_key: sesame}",
        'parameters: {discrete: true, "api\\u005fkey": sesame}',
        "parameters:\n  discrete: true\n  ? api_key\n  : sesame",
    ],
)
def test_a_plain_key_is_found_however_yaml_spells_it(document: Make, text: str) -> None:
    (problem,) = refused(document(schema=None, schemaFrom=FROM_CONFIG_MAP), {"schema.yaml": text})
    assert problem.startswith("ConfigMap mouse-schema, schema.yaml: holds an API key in plain text; put the key into")
    assert "sesame" not in problem


def test_a_missing_config_map_is_named_with_the_command_that_makes_it(document: Make) -> None:
    made = document(schema=None, schemaFrom=FROM_CONFIG_MAP)
    assert refused(made) == [
        "spec.schemaFrom.configMapKeyRef.name: there is no ConfigMap mouse-schema; make it with"
        " kubectl create configmap mouse-schema --from-file=schema.yaml=schema.yaml"
    ]
    assert refused(made, {"b": "", "a": ""}) == [
        "spec.schemaFrom.configMapKeyRef.key: ConfigMap mouse-schema has no schema.yaml in its data; there is a, b"
    ]


def test_a_server_of_several_policies_is_told_all_of_them_and_where_its_router_finds_what_it_follows(
    document: Make,
) -> None:
    server = parse(document(**routed(policy("a"), policy("b", shadow=True))))
    routing = RoutingConfig(settings=Path("/settings.json"), store=StoreConfig(path=Path("/state.db")))
    bundles = {"a": Path("/bundles/a"), "b": Path("/bundles/b")}
    config = server_config(server, resolve_schema(server, None), bundles, KEYS, routing)
    assert config.policies == [
        PolicyConfig(name="a", bundle=bundles["a"]),
        PolicyConfig(name="b", bundle=bundles["b"], shadow=True),
    ]
    assert config.routing == routing


@pytest.mark.parametrize(
    ("spec", "mode", "weights"),
    [
        (routed(policy("a")), "ABTest", {"a": 1}),
        (routed(policy("a"), policy("b", shadow=True)), "ABTest", {"a": 1}),
        (routed(policy("a", weight=90), policy("b"), mode="ABTest"), "ABTest", {"a": 90, "b": 1}),
        (routed(mode="Canary", canary="b", canaryPercent=5), "Canary", {"a": 95, "b": 5}),
        (routed(mode="Canary", canary="a", canaryPercent=20), "Canary", {"a": 20, "b": 80}),
        (routed(mode="Canary", canary="b", canaryPercent=0), "Canary", {"a": 100, "b": 0}),
        (routed(mode="UCB1", minPulls=2, store={"redis": {"url": "redis://valkey"}}), "UCB1", {}),
    ],
)
def test_a_router_follows_what_the_resource_says_of_it(
    document: Make, spec: dict[str, Any], mode: str, weights: dict[str, float]
) -> None:
    settings = router_settings(parse(document(**spec)))
    written = json.loads(settings.model_dump_json(by_alias=True, exclude_none=True))
    assert (written["router"]["mode"], written["weights"]) == (mode, weights)
    assert written["router"].get("minPulls") == spec.get("router", {}).get("minPulls")
    assert "store" not in written["router"]
    assert RouterSettingsFile.model_validate(written) == settings


@pytest.mark.parametrize(
    ("spec", "ray"),
    [
        ({}, None),
        (by_ray(), RayConfig()),
        (by_ray(workers={"replicas": 2}), RayConfig()),
        (by_ray(scaling={"replicas": 2, "cpus": 0.5}), RayConfig(scaling=ScalingConfig(replicas=2, cpus=0.5))),
    ],
)
def test_the_engine_and_its_scaling_reach_the_server(
    document: Make, spec: dict[str, Any], ray: RayConfig | None
) -> None:
    server = parse(document(**spec))
    assert server_config(server, resolve_schema(server, None), BUNDLES, KEYS, None).ray == ray


def test_what_is_said_of_one_policys_scaling_is_its_own(document: Make) -> None:
    own = policy("a", scaling={"minReplicas": 1, "maxReplicas": 3, "targetOngoingRequests": 1})
    server = parse(document(**by_ray(), **routed(own, policy("b"), mode="UCB1")))
    routing = RoutingConfig(settings=Path("/settings.json"), store=StoreConfig(path=Path("/state.db")))
    config = server_config(server, resolve_schema(server, None), {"a": Path("/a"), "b": Path("/b")}, KEYS, routing)
    expected = ScalingConfig(min_replicas=1, max_replicas=3, target_ongoing_requests=1)
    assert [one.scaling for one in config.policies] == [expected, None]


NAMED = {"redis": {"url": "redis://valkey:1/2", "passwordSecret": {"name": "valkey"}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"replicas": 3}, None),
        (routed(mode="UCB1"), None),
        (routed(mode="UCB1") | {"replicas": 0}, None),
        (routed(mode="UCB1") | {"replicas": 2}, SharedStore("redis://mouse-store:6379/0", "mouse-store", own=True)),
        (routed(policy("a")) | {"replicas": 2}, SharedStore("redis://mouse-store:6379/0", "mouse-store", own=True)),
        (routed(mode="UCB1") | by_ray(scaling={"replicas": 2}), None),
        (
            routed(mode="UCB1") | by_ray(workers={"replicas": 1}),
            SharedStore("redis://mouse-store:6379/0", "mouse-store", own=True),
        ),
        (routed(mode="UCB1", store=NAMED), SharedStore("redis://valkey:1/2", "valkey", own=False)),
        (
            routed(mode="UCB1", store={"redis": {"url": "redis://valkey"}}) | {"replicas": 2},
            SharedStore("redis://valkey", None, own=False),
        ),
    ],
)
def test_replicas_learn_together_and_one_pod_alone_needs_nobody(
    document: Make, spec: dict[str, Any], expected: SharedStore | None
) -> None:
    assert store_of(parse(document(**spec))) == expected
