"""A PolicyServer document is checked as the API server checks it, and each problem comes with its remedy."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from policy_operator.api import parse
from policy_operator.errors import InvalidPolicyServerError
from policy_server.config import ObservationType, RouterMode
from tests import engine_cases
from tests.routing_cases import REFUSED, TAKEN, policy, routed

Make = Callable[..., dict[str, Any]]
PLAIN_KEY = (
    "holds an API key in plain text; put the key into a Secret"
    " (kubectl create secret generic NAME --from-literal=key=...), name the Secret in spec.apiKeySecret and remove the"
    " key here; `policyserver schema convert schema.yaml` does it for you"
)
TEXT = "parameters: {discrete: true}"


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidPolicyServerError) as raised:
        parse(document)
    assert str(raised.value).splitlines() == list(raised.value.problems)
    return list(raised.value.problems)


def test_a_valid_document_becomes_a_policy_server_with_defaults(document: Make) -> None:
    server = parse(document())
    assert str(server) == "PolicyServer lab/mouse"
    assert server.key == ("lab", "mouse")
    assert server.spec.replicas == 1
    assert server.spec.url_path is None
    assert server.spec.auth is None
    assert server.spec.api_key_secret is not None
    assert server.spec.api_key_secret.name == "mouse-keys"
    assert server.spec.observation_schema is not None
    assert server.spec.observation_schema.observations[1].type is ObservationType.INT_LIST


def test_observations_keep_their_order(document: Make) -> None:
    schema = parse(document()).spec.observation_schema
    assert schema is not None
    assert [observation.name for observation in schema.observations] == ["zebra", "apple"]


def test_what_kubernetes_adds_to_an_object_is_no_error(document: Make) -> None:
    made = document(
        metadata={
            "uid": "1-2-3",
            "resourceVersion": "42",
            "generation": 3,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "managedFields": [{"manager": "kubectl"}],
            "labels": {"team": "mice"},
        }
    )
    made["status"] = {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Served",
                "message": "",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
                "severity": "of a later version",
            }
        ],
        "router": {"mode": "UCB1", "of": "a later version"},
    }
    server = parse(MappingProxyType(made))
    assert server.metadata.creation_timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert server.metadata.labels == {"team": "mice"}
    assert server.status is not None
    assert server.status.conditions[0].type == "Ready"


def test_a_null_is_as_good_as_nothing(document: Make) -> None:
    made = document()
    made["spec"] |= {"replicas": None, "schemaText": None}
    made["metadata"]["labels"] = None
    assert parse(made).spec.replicas == 1


@pytest.mark.parametrize("uri", ["file:///m", "data:application/zip;base64,UEsDB", "s3://bucket/key", "pvc://a/b"])
def test_any_uri_with_a_scheme_is_a_model_uri(document: Make, uri: str) -> None:
    assert parse(document(modelUri=uri)).spec.model_uri == uri


def test_a_missing_field_is_named_with_what_it_is_for(document: Make) -> None:
    assert problems(document(**routed({"name": "a"}))) == [
        "spec.policies[0].modelUri: is missing. Where the trained model is, as spec.modelUri has it."
    ]


@pytest.mark.parametrize("uri", ["pvc:a", "pvc:/a/b", "pvc:///b", "pvc://A/b", "pvc://a_b/c", "pvc://a-/b", "pvc://.."])
def test_a_volume_uri_names_a_claim(document: Make, uri: str) -> None:
    assert problems(document(modelUri=uri)) == ["spec.modelUri: names no claim: write pvc://CLAIM/PATH"]


@pytest.mark.parametrize("digest", ["a" * 63, "A" * 64, "g" * 64])
def test_a_digest_is_64_digits(document: Make, digest: str) -> None:
    (problem,) = problems(document(sha256=digest))
    assert problem.startswith("spec.sha256: must match pattern")
    assert "`sha256sum`" in problem


def test_a_path_without_a_scheme_is_no_model_uri(document: Make) -> None:
    (problem,) = problems(document(modelUri="models/mouse.zip"))
    assert problem.startswith("spec.modelUri: must match pattern")
    assert "`file:///models/mouse`" in problem


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"schema": None}, ["spec: give exactly one of schema, schemaText and schemaFrom"]),
        ({"schemaText": TEXT}, ["spec: give exactly one of schema, schemaText and schemaFrom"]),
        (
            {"schemaText": TEXT, "schemaFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}, "schema": None},
            ["spec: give exactly one of schema, schemaText and schemaFrom"],
        ),
        (
            {"schema": None, "apiKeySecret": None},
            [
                "spec: give exactly one of schema, schemaText and schemaFrom",
                "spec: give exactly one of apiKeySecret and auth: name a Secret of accepted keys, or say `auth: none`"
                " to serve everyone",
            ],
        ),
        (
            {"auth": "none"},
            [
                "spec: give exactly one of apiKeySecret and auth: name a Secret of accepted keys, or say `auth: none`"
                " to serve everyone",
            ],
        ),
    ],
)
def test_exactly_one_of_the_forms_is_given(document: Make, spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(document(**spec)) == expected


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"auth": "token", "apiKeySecret": None}, "spec.auth: must be 'none'"),
        ({"replicas": -1}, "spec.replicas: must be greater than or equal to 0"),
        ({"replicas": "2"}, "spec.replicas: must be a valid integer"),
        ({"replicas": True}, "spec.replicas: must be a valid integer"),
        ({"apiKeySecret": "sesame"}, "spec.apiKeySecret: write a mapping with name"),
        (
            {"resources": {"limits": {"cpu": "two"}}},
            'spec.resources.limits.cpu: write cores, such as 2 or "500m"',
        ),
        (
            {"resources": {"limits": {"gpu": 1}}},
            "spec.resources.limits.gpu: unknown field; did you mean cpu? There are cpu, memory",
        ),
        (
            {"schema": {"observations": [{"name": "a", "type": "int", "minItems": 1}]}},
            "spec.schema.observations[0]: observation 'a' is of type int: minItems and maxItems are for lists;"
            " remove them or make it a List[int]",
        ),
        (
            {"schema": {"observations": [{"name": "a", "type": "List[int]", "minItems": "1"}]}},
            "spec.schema.observations[0].minItems: must be a valid integer",
        ),
        (
            {"schema": {"observations": [{"name": "a", "type": "str"}]}},
            "spec.schema.observations[0].type:"
            " must be 'int', 'float', 'bool', 'List[int]', 'List[float]' or 'List[bool]'",
        ),
        (
            {"schema": {"observations": [{"name": "a", "type": "int"}] * 2}},
            "spec.schema: observation 'a' is there twice; names must differ",
        ),
        (
            {"schema": {"observations": [{"name": "a", "type": "int", "min_items": 2}]}},
            "spec.schema.observations[0].min_items: unknown field; did you mean minItems?"
            " There are name, type, minItems, maxItems, minimum, maximum, default, mask, description",
        ),
        (
            {"schema": {"observations": [{"name": "a", "type": "int", "mask": True}]}},
            "spec.schema.observations[0]: observation 'a' is of type int: a mask is a List[bool];"
            " change the type or remove mask",
        ),
        (
            {"schema": {"observations": [{"name": "a", "type": "int", "default": {"b": 1}}]}},
            "spec.schema.observations[0]: observation 'a': its default is not of type int",
        ),
        (
            {"schema": {"actions": ["left"], "tuple": True}},
            "spec.schema: actions names the choices of one discrete action: remove actions, or correct discrete and"
            " tuple",
        ),
        (
            {"replica": 2},
            "spec.replica: unknown field; did you mean replicas? There are modelUri, sha256, modelCredentials, format,"
            " trust, modelOutput, policies, router, schema, schemaText, schemaFrom, apiKeySecret, auth, engine, ray,"
            " replicas, resources, clients, urlPath",
        ),
        (
            {"schema": {"observations": {"mouse_row": {"type": "float"}}}},
            "spec.schema.observations: write a list, as in `- {name: mouse_row, type: float}`; Kubernetes sorts the"
            " keys of a mapping, and the order is the order of the model's inputs"
            " (the text of a Pathmind schema.yaml goes into spec.schemaText)",
        ),
    ],
)
def test_a_problem_names_the_field_and_the_remedy(document: Make, spec: dict[str, Any], problem: str) -> None:
    assert problems(document(**spec)) == [problem]


def test_all_problems_are_told_at_once(document: Make) -> None:
    assert problems(document(replicas=-1, auth="token")) == [
        "spec.auth: must be 'none'",
        "spec.replicas: must be greater than or equal to 0",
    ]


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"api_key": "sesame"}, "spec.api_key"),
        ({"apiKey": "sesame"}, "spec.apiKey"),
        ({"schema": {"api_key": "sesame"}}, "spec.schema.api_key"),
        ({"schema": {"parameters": [{"API-Key": "sesame"}]}}, "spec.schema.parameters[0].API-Key"),
        ({"schema": None, "schemaText": "parameters:\n  api_key: sesame"}, "spec.schemaText"),
        ({"schema": None, "schemaText": "parameters:\n  'api_key' : sesame"}, "spec.schemaText"),
        ({"schema": None, "schemaText": "{parameters: {apiKey: sesame}}"}, "spec.schemaText"),
        ({"schema": None, "schemaText": "# api_key: sesame"}, "spec.schemaText"),
    ],
)
def test_a_plain_api_key_is_refused_with_the_remedy_and_not_repeated(
    document: Make, spec: dict[str, Any], where: str
) -> None:
    assert problems(document(**spec)) == [f"{where}: {PLAIN_KEY}"]


def test_an_observation_may_be_called_like_a_key(document: Make) -> None:
    text = "observations: {my_api_key: {type: int}}\nparameters: {discrete: true}"
    assert parse(document(schema=None, schemaText=text)).spec.schema_text == text


@pytest.mark.parametrize("path", ["api/v1", "/api/v1/", "apis", "a/api", "predictor", "a.b/~c/d_e-f", "api/v1.00"])
def test_a_url_path_is_segments_with_slashes_between(document: Make, path: str) -> None:
    assert parse(document(urlPath=path)).spec.url_path == path


@pytest.mark.parametrize("path", ["/", "a//b", "a b", "ä", "a?b", "a%20b", "{a}", "api/v1\n"])
def test_no_other_character_is_in_a_url_path(document: Make, path: str) -> None:
    assert problems(document(urlPath=path)) == [
        "spec.urlPath: must be segments of letters, digits, '-', '.', '_' and '~' with one slash between them,"
        " such as api/v1"
    ]


@pytest.mark.parametrize("path", ["..", "a/../b", "./a", "a/."])
def test_a_url_path_has_no_dots_to_resolve(document: Make, path: str) -> None:
    assert problems(document(urlPath=path)) == [
        "spec.urlPath: must not have a segment '.' or '..', because clients resolve them"
    ]


@pytest.mark.parametrize(
    "path",
    [
        "predict",
        "/predict/",
        "docs/a",
        "openapi.json",
        "v2/models",
        "static-offline-docs",
        "api/v1.0",
        "api/v0.1/x",
        "api",
        "/api/",
    ],
)
def test_a_url_path_hides_no_route_of_the_server(document: Make, path: str) -> None:
    (problem,) = problems(document(urlPath=path))
    assert problem.startswith("spec.urlPath: must not start with a route of the server itself: predict, ")


@pytest.mark.parametrize("name", ["Mouse", "1mouse", "mouse-", "mouse.cat", "m" * 64, ""])
def test_a_name_must_be_a_host_name_because_the_service_is_called_so(document: Make, name: str) -> None:
    assert problems(document(metadata={"name": name})) == [
        "metadata.name: must be at most 63 small letters, digits and '-', with a letter first and no '-' last,"
        " because the Service is called so"
    ]


def test_a_longest_name_is_fine(document: Make) -> None:
    assert parse(document(metadata={"name": "m" * 63})).metadata.name == "m" * 63


def test_what_json_cannot_say_is_refused(document: Make) -> None:
    cycle: dict[str, Any] = {}
    cycle["schema"] = cycle
    expected = ["the document can't be written as JSON, which Kubernetes needs"]
    assert problems(document(**cycle)) == expected
    assert problems(document(replicas=math.inf)) == expected


def test_another_version_or_kind_is_no_policy_server(document: Make) -> None:
    assert problems(document() | {"apiVersion": "policyserver.io/v1", "kind": "Policy"}) == [
        "apiVersion: must be 'policyserver.io/v1alpha1'",
        "kind: must be 'PolicyServer'",
    ]


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_policies_and_router_that_can_never_work_are_refused(
    document: Make, spec: dict[str, Any], message: str
) -> None:
    assert [problem for problem in problems(document(**spec)) if problem.endswith(f": {message}")]


@pytest.mark.parametrize(("spec", "message"), engine_cases.REFUSED)
def test_an_engine_that_can_never_serve_is_refused(document: Make, spec: dict[str, Any], message: str) -> None:
    assert [problem for problem in problems(document(**spec)) if problem.endswith(f": {message}")]


@pytest.mark.parametrize("spec", engine_cases.TAKEN)
def test_an_engine_that_can_serve_is_taken(document: Make, spec: dict[str, Any]) -> None:
    server = parse(document(**spec))
    assert server.spec.engine == spec["engine"]
    assert (server.ray_workers is not None) == ("workers" in spec.get("ray", {}))


@pytest.mark.parametrize("spec", TAKEN)
def test_policies_and_router_that_can_work_are_taken(document: Make, spec: dict[str, Any]) -> None:
    server = parse(document(**spec))
    assert server.is_routed
    assert [one.name for one in server.policies] == [one["name"] for one in spec["policies"]]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (routed(policy("a"), policy("a"), mode="UCB1"), "spec: policy 'a' is there twice; names must differ"),
        (routed(mode="UCB1", reward={"min": 2}), "spec.router.reward: reward: min 2 must be less than max 1"),
        (routed(*[policy(f"p{number}") for number in range(17)], mode="UCB1"), "spec.policies: must have at most 16"),
        (routed(policy("No")), "spec.policies[0].name: must match pattern"),
        (routed(mode="UCB1", epsilom=0.1), "spec.router.epsilom: unknown field; did you mean epsilon?"),
        (
            routed(mode="UCB1", store={"redis": {"url": "redis://user:secret@valkey"}}),
            "spec.router.store.redis.url: must match pattern",
        ),
    ],
)
def test_what_is_wrong_with_policies_or_router_is_told_where_it_is(
    document: Make, spec: dict[str, Any], problem: str
) -> None:
    (only,) = problems(document(**spec))
    assert only.startswith(problem)
    assert "user:secret" not in only


def test_a_single_model_is_one_policy_called_as_the_policy_server_is(document: Make) -> None:
    name = "m" * 63
    server = parse(document(metadata={"name": name}, format="Keras", trust=True, modelCredentials={"name": "keys"}))
    (only,) = server.policies
    assert not server.is_routed
    assert (only.name, only.model_uri, only.format, only.trust) == (name, server.spec.model_uri, "Keras", True)
    assert only.model_credentials == server.spec.model_credentials
    assert (only.sha256, only.model_output, only.weight, only.shadow) == (None, None, None, False)


def test_what_is_not_said_of_a_router_has_its_default(document: Make) -> None:
    router = parse(document(**routed(mode="EpsilonGreedy"))).spec.router
    assert router is not None
    assert (router.mode, router.reward_wait, router.store) == (RouterMode.EPSILON_GREEDY, "10m", None)
