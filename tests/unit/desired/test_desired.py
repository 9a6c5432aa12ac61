"""What holds for the objects of every PolicyServer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from policy_operator.api import PolicyServer, parse
from policy_operator.desired import Desired, desired_objects
from policy_operator.desired.metadata import selector
from policy_operator.errors import InvalidPolicyServerError
from policy_operator.server_config import resolve_schema
from policy_operator.settings import Settings
from policy_server.config import MODEL_CREDENTIALS
from tests.routing_cases import policy, routed

Object = dict[str, Any]


def server(name: str = "mouse", uid: str | None = "6f1c", **spec: Any) -> PolicyServer:
    """A PolicyServer; `spec` says what is different from the simplest one."""
    simplest = {
        "schema": {"observations": [{"name": "row", "type": "float"}]},
        "auth": "none",
    } | ({} if "policies" in spec else {"modelUri": "https://models.example/mouse.zip"})
    metadata = {"name": name, "namespace": "cats"} | ({"uid": uid} if uid else {})
    document = {"apiVersion": "policyserver.io/v1alpha1", "kind": "PolicyServer", "metadata": metadata}
    return parse(document | {"spec": simplest | spec})


def objects(server: PolicyServer, **settings: Any) -> dict[str, Object]:
    """The objects by their kind."""
    return {one["kind"]: one for one in desired_objects(server, resolve_schema(server, None), Settings(**settings))}


def named(server: PolicyServer, given: Desired | None = None) -> dict[str, Object]:
    """The objects by their kind and name."""
    made = desired_objects(server, resolve_schema(server, None), Settings(), given)
    return {f"{one['kind']} {one['metadata']['name']}": one for one in made}


def several(*policies: Object, replicas: int = 1, **router: Any) -> PolicyServer:
    """A PolicyServer with a router."""
    spec = routed(*policies, **({"mode": "UCB1"} | router))
    return server(**{name: value for name, value in spec.items() if value is not None}, replicas=replicas)


def template(server: PolicyServer, **settings: Any) -> Object:
    """The template of the pods."""
    found: Object = objects(server, **settings)["Deployment"]["spec"]["template"]
    return found


def containers(server: PolicyServer) -> dict[str, Object]:
    spec = template(server)["spec"]
    return {one["name"]: one for one in (*spec["initContainers"], *spec["containers"])}


def nodes(value: Any) -> Iterator[Any]:
    """All mappings and lists in an object."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from nodes(inner)


def test_every_object_is_labelled_and_owned() -> None:
    for one in objects(server(replicas=2)).values():
        assert one["metadata"]["namespace"] == "cats"
        assert one["metadata"]["labels"] == {
            "app.kubernetes.io/name": "policyserver",
            "app.kubernetes.io/instance": "mouse",
            "app.kubernetes.io/managed-by": "policyserver-operator",
        }
        (owner,) = one["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == ("6f1c", True, False)


def test_what_nobody_has_applied_has_no_owner() -> None:
    assert all("ownerReferences" not in one["metadata"] for one in objects(server(uid=None)).values())


def test_selectors_find_the_pods_and_nothing_else_decides() -> None:
    made = objects(server(replicas=2))
    labels = template(server())["metadata"]["labels"]
    found = [
        made["Deployment"]["spec"]["selector"]["matchLabels"],
        made["Service"]["spec"]["selector"],
        made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        made["ServiceMonitor"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(one == selector("mouse") and one.items() <= labels.items() for one in found)


def test_the_longest_name_gives_valid_names() -> None:
    name = "m" * 63
    for one in objects(server(name)).values():
        assert len(one["metadata"]["name"]) <= 63


def test_resources_are_the_serving_containers_alone() -> None:
    given = containers(server(resources={"requests": {"cpu": 1}, "limits": {"cpu": 2, "memory": "1Gi"}}))
    assert given["server"]["resources"] == {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    for name in ("fetch", "convert"):
        assert given[name]["resources"] == containers(server())[name]["resources"]


@pytest.mark.parametrize(("cpu", "count"), [(2, 2), ("2500m", 2), ("4.0", 4), ("500m", 1), (1, 1), (None, 1)])
def test_a_process_serves_for_each_whole_core_of_the_limit(cpu: object, count: int) -> None:
    limits = {"memory": "1Gi"} | ({"cpu": cpu} if cpu else {})
    arguments = containers(server(resources={"limits": limits}))["server"]["args"]
    assert [one for one in arguments if "processes" in one] == ([f"--processes={count}"] if count > 1 else [])


def test_without_resources_something_small_is_asked_for() -> None:
    assert containers(server())["server"]["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}}


def test_a_limit_below_the_usual_request_is_not_contradicted_by_it() -> None:
    given = containers(server(resources={"limits": {"memory": "64Mi"}}))["server"]["resources"]
    assert given == {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}


def test_several_processes_ask_for_the_memory_that_they_take() -> None:
    requests = containers(server(resources={"limits": {"cpu": 4}}))["server"]["resources"]["requests"]
    assert requests == {"memory": "320Mi"}


def test_scaling_changes_no_pod() -> None:
    assert template(server(replicas=1)) == template(server(replicas=5))


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        ({"modelUri": "https://models.example/other.zip"}, {}),
        ({"urlPath": "other"}, {}),
        ({"schema": {"observations": [{"name": "row", "type": "int"}]}}, {}),
        ({}, {"server_image": "policyserver/server:next"}),
    ],
    ids=str,
)
def test_what_pods_depend_on_makes_a_new_version(spec: Object, settings: Object) -> None:
    versions = [
        one["metadata"]["annotations"]["policyserver.io/version"]
        for one in (template(server()), template(server(**spec), **settings))
    ]
    assert versions[0] != versions[1]


def test_a_configuration_is_never_changed_but_replaced() -> None:
    one, other = objects(server())["ConfigMap"], objects(server(urlPath="other"))["ConfigMap"]
    assert one["immutable"] is True
    assert one["metadata"]["name"] != other["metadata"]["name"]
    assert json.loads(other["data"]["server.json"])["urlPath"] == "other"


def test_pods_meet_the_restricted_standard() -> None:
    spec = template(server())["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in containers(server()).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


def test_only_the_server_sees_the_keys_and_only_fetch_the_credentials() -> None:
    secrets: Object = {"apiKeySecret": {"name": "mouse-keys"}, "modelCredentials": {"name": "mouse-s3"}}
    with_keys = server(auth=None, **secrets)
    mounts = {name: {one["name"] for one in found["volumeMounts"]} for name, found in containers(with_keys).items()}
    assert mounts == {
        "fetch": {"tmp", "fetched", "digests", "credentials"},
        "convert": {"tmp", "fetched", "bundle", "config"},
        "server": {"tmp", "bundle", "config", "keys"},
    }


def test_every_mount_has_its_volume() -> None:
    spec: Object = {"auth": None, "apiKeySecret": {"name": "mouse-keys"}}
    private = policy("a", modelUri="s3://models/a.zip", modelCredentials={"name": "mouse-s3"})
    claimed = policy("b", modelUri="pvc://trained/b.zip")
    for made in (server(**spec), several(private, claimed), several(private, claimed, replicas=2)):
        volumes = [one["name"] for one in template(made)["spec"]["volumes"]]
        mounted = {one["name"] for found in containers(made).values() for one in found["volumeMounts"]}
        assert sorted(volumes) == sorted(mounted)


def mounts(server: PolicyServer, container: str) -> dict[str, Object]:
    return {one["name"]: one for one in containers(server)[container]["volumeMounts"]}


def test_only_known_keys_of_a_secret_get_into_the_pod() -> None:
    volumes = {one["name"]: one for one in template(server(modelCredentials={"name": "mouse-s3"}))["spec"]["volumes"]}
    secret = volumes["credentials"]["secret"]
    assert (secret["secretName"], secret["optional"]) == ("mouse-s3", True)
    assert {one["key"] for one in secret["items"]} == set(MODEL_CREDENTIALS)
    environment = [
        one for found in containers(server(modelCredentials={"name": "mouse-s3"})).values() for one in found["env"]
    ]
    assert {one["name"] for one in environment} == {"HOME"}


@pytest.mark.parametrize(
    "uri", ["file:///etc/policyserver/credentials/mouse-s3/HF_TOKEN", "pvc://trained/x", "data:,x"]
)
def test_credentials_are_not_there_where_nobody_asks_for_them(uri: str) -> None:
    made = server(modelUri=uri, modelCredentials={"name": "mouse-s3"})
    assert "credentials" not in {one["name"] for one in template(made)["spec"]["volumes"]}
    assert "credentials" not in mounts(made, "fetch")


def test_a_claim_is_read_by_fetch_alone() -> None:
    made = server(modelUri="pvc://trained/mouse.zip")
    (volume,) = [one for one in template(made)["spec"]["volumes"] if one["name"] == "claim"]
    assert volume["persistentVolumeClaim"] == {"claimName": "trained", "readOnly": True}
    assert mounts(made, "fetch")["claim"] == {"name": "claim", "mountPath": "/volumes/trained", "readOnly": True}
    assert all("claim" not in mounts(made, other) for other in ("convert", "server"))


@pytest.mark.parametrize(("allowed", "option"), [(False, "--addresses=public"), (True, "--addresses=private")])
def test_private_addresses_are_for_the_operators_settings_to_allow(allowed: bool, option: str) -> None:
    spec = template(server(), allow_private_model_addresses=allowed)["spec"]
    assert option in spec["initContainers"][0]["args"]


def test_a_digest_that_is_asked_for_stands_above_the_one_that_was_first_served() -> None:
    made = server(sha256="a" * 64)
    assert f"--sha256={'a' * 64}" in containers(made)["fetch"]["args"]
    assert not [one for one in containers(made)["fetch"]["args"] if one.startswith("--pins")]
    keys = [template(one)["metadata"]["annotations"]["policyserver.io/model"] for one in (made, server())]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("model_format", "image"),
    [
        (None, "importer-tensorflow"),
        ("SavedModel", "importer-tensorflow"),
        ("Keras", "importer-tensorflow"),
        ("StableBaselines3", "importer-torch"),
        ("TorchScript", "importer-torch"),
        ("RLlib", "importer-rllib"),
        ("ONNX", "server"),
        ("Bundle", "server"),
    ],
)
def test_what_needs_no_framework_needs_no_large_image(model_format: str | None, image: str) -> None:
    found = containers(server(format=model_format))
    assert f"/{image}:" in found["convert"]["image"]
    assert "/server:" in found["fetch"]["image"]
    assert ("--format" in str(found["convert"]["args"])) == (model_format is not None)


def test_the_converter_and_the_server_are_told_what_they_understand() -> None:
    """The options of the two init containers, as the importers' own command line has them."""
    for name in ("fetch", "convert"):
        help_text = subprocess.run(
            [sys.executable, "-m", "policy_server.importers", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        credentials: Object = {"modelCredentials": {"name": "mouse-s3"}}
        asked = [
            several(),
            server(format="ONNX", **credentials),
            server(modelUri="pvc://trained/mouse.zip"),
            server(sha256="a" * 64),
        ]
        brings = [one for made in asked for one in containers(made).values() if one["name"].startswith(name)]
        for argument in (argument for one in brings for argument in one["args"]):
            if argument.startswith("--"):
                assert argument.partition("=")[0] in help_text


def test_a_pod_ends_after_its_requests_have() -> None:
    spec = template(server())["spec"]
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep + 20 < spec["terminationGracePeriodSeconds"]  # 20 is what the server grants to requests under way


def test_one_pod_needs_no_disruption_budget() -> None:
    assert "PodDisruptionBudget" not in objects(server(replicas=1))
    assert "PodDisruptionBudget" in objects(server(replicas=2))


def test_nothing_is_empty_and_nothing_is_shared() -> None:
    """Server-side apply drops empty values, which would look like a difference for ever; YAML would show anchors."""
    seen = set()
    for one in [*objects(server(replicas=2)).values(), *named(several(replicas=2)).values()]:
        for node in nodes(one):
            assert node
            assert id(node) not in seen
            seen.add(id(node))
            assert None not in (node.values() if isinstance(node, dict) else node)


def test_an_invalid_schema_text_is_an_error_with_its_line() -> None:
    broken = server(schema=None, schemaText="observations: {row: {type: flaot}}\nparameters: {discrete: true}\n")
    with pytest.raises(InvalidPolicyServerError, match=r"line 1: observations\.row\.type"):
        objects(broken)


def test_what_is_said_of_the_model_reaches_what_converts_it() -> None:
    arguments = containers(server(format="Keras", modelOutput="QValues", trust=True))["convert"]["args"]
    assert {"--format=Keras", "--model-output=QValues", "--trust"} <= set(arguments)
    others = containers(server())["convert"]["args"]
    assert not any(one.startswith(("--format", "--model-output", "--trust")) for one in others)


def test_trust_reaches_no_other_container() -> None:
    found = containers(server(trust=True))
    assert [name for name, one in found.items() if "--trust" in one["args"]] == ["convert"]


@pytest.mark.parametrize("uri", ["https://h/a$$b.zip", "https://h/$(HOME)/m", "https://h/$$(HOME)/$"])
def test_a_uri_reaches_fetch_as_it_is_whatever_kubernetes_makes_of_dollars(uri: str) -> None:
    written = containers(server(modelUri=uri))["fetch"]["args"][1]
    # Kubernetes' rule: $$ is $, $(NAME) a variable, any other $ itself.
    assert "$" not in written.replace("$$", "")
    assert written.replace("$$", "$") == uri


def test_each_of_several_policies_is_brought_by_containers_and_volumes_of_its_own() -> None:
    made = several(policy("a"), policy("b", format="ONNX", trust=True))
    found = containers(made)
    assert list(found) == ["fetch-a", "convert-a", "fetch-b", "convert-b", "server"]
    for name in ("a", "b"):
        assert {"fetched-" + name} == set(mounts(made, f"fetch-{name}")) - {"tmp", "digests"}
        assert mounts(made, f"convert-{name}").keys() == {"tmp", "fetched-" + name, "bundle-" + name, "config"}
        assert f"--output=/bundles/{name}/policy" in found[f"convert-{name}"]["args"]
        assert mounts(made, "server")[f"bundle-{name}"]["mountPath"] == f"/bundles/{name}"
        assert mounts(made, "server")[f"bundle-{name}"]["readOnly"] is True
    assert ["--trust" in found[f"convert-{name}"]["args"] for name in ("a", "b")] == [False, True]
    (config,) = [json.loads(one["data"]["server.json"]) for one in named(made).values() if one.get("immutable")]
    assert [one["bundle"] for one in config["policies"]] == ["/bundles/a/policy", "/bundles/b/policy"]


def test_one_of_several_policies_may_fail_and_the_only_one_may_not() -> None:
    optional = {name: "--optional" in one["args"] for name, one in containers(several()).items()}
    assert optional == {"fetch-a": True, "convert-a": True, "fetch-b": True, "convert-b": True, "server": False}
    assert not any("--optional" in one["args"] for one in containers(server()).values())


def test_credentials_of_one_policy_are_not_those_of_another() -> None:
    made = several(
        *(policy(name, modelUri="s3://models/m", modelCredentials={"name": f"{name}-s3"}) for name in ("a", "b"))
    )
    for name, other in (("a", "b"), ("b", "a")):
        assert f"credentials-{name}" in mounts(made, f"fetch-{name}")
        assert f"credentials-{other}" not in mounts(made, f"fetch-{name}")
        assert f"--credentials=/etc/policyserver/credentials/{name}-s3" in containers(made)[f"fetch-{name}"]["args"]


def test_a_pod_says_the_key_of_each_of_its_models() -> None:
    other = policy("b", modelUri="https://models.example/other.zip")
    keys = json.loads(template(several(policy("a"), other))["metadata"]["annotations"]["policyserver.io/model"])
    assert list(keys) == ["a", "b"]
    assert keys["a"] == template(server())["metadata"]["annotations"]["policyserver.io/model"] != keys["b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (several(mode="EpsilonGreedy"), several(mode="UCB1", freeze=True)),
        (several(policy("a", weight=2), policy("b"), mode="ABTest"), several(mode="ABTest")),
    ],
)
def test_what_a_router_may_follow_changes_no_pod(one: PolicyServer, other: PolicyServer) -> None:
    assert template(one) == template(other)
    settings = [named(made)["ConfigMap mouse-router"]["data"]["settings.json"] for made in (one, other)]
    assert settings[0] != settings[1]
    (volume,) = [found for found in template(one)["spec"]["volumes"] if found["name"] == "router"]
    assert volume["configMap"] == {"name": "mouse-router"}
    assert mounts(one, "server")["router"]["mountPath"] == "/etc/policyserver/router"


def test_without_several_policies_there_is_no_router() -> None:
    assert "ConfigMap mouse-router" not in named(server(replicas=2))


def test_one_pod_keeps_what_its_router_learns_in_a_file_and_starts_from_a_snapshot() -> None:
    made = several()
    (config,) = [json.loads(one["data"]["server.json"]) for one in named(made).values() if one.get("immutable")]
    assert config["routing"] == {
        "settings": "/etc/policyserver/router/settings.json",
        "store": {"path": "/state/router.db", "snapshot": "/etc/policyserver/learned/router.json", "prefix": ""},
    }
    found = mounts(made, "server")
    assert (found["state"]["mountPath"], "readOnly" in found["state"]) == ("/state", False)
    assert found["learned"]["mountPath"] == "/etc/policyserver/learned"
    volumes = {one["name"]: one for one in template(made)["spec"]["volumes"]}
    assert volumes["learned"]["configMap"] == {"name": "mouse-learned", "optional": True}


@pytest.mark.parametrize(
    ("replicas", "redis", "url", "secret"),
    [
        (2, None, "redis://mouse-store:6379/0", "mouse-store"),
        (1, {"url": "redis://valkey/1", "passwordSecret": {"name": "valkey"}}, "redis://valkey/1", "valkey"),
        (2, {"url": "redis://valkey/1"}, "redis://valkey/1", None),
    ],
)
def test_several_pods_learn_in_one_store_whose_password_only_the_server_sees(
    replicas: int, redis: Object | None, url: str, secret: str | None
) -> None:
    made = several(replicas=replicas, **({"store": {"redis": redis}} if redis else {}))
    (config,) = [json.loads(one["data"]["server.json"]) for one in named(made).values() if one.get("immutable")]
    store = config["routing"]["store"]
    password = "/etc/policyserver/store/password" if secret else None
    assert (store["redis"], store.get("passwordFile"), store["prefix"]) == (url, password, "cats/mouse")
    volumes = {one["name"]: one for one in template(made)["spec"]["volumes"]}
    assert "state" not in volumes
    # The store that the operator runs takes over from the file of the only pod that there was before.
    own = redis is None
    assert ("learned" in volumes, "learned" in mounts(made, "server"), "snapshot" in store) == (own, own, own)
    assert volumes.get("store", {}).get("secret", {}).get("secretName") == secret
    assert [name for name in containers(made) if "store" in mounts(made, name)] == (["server"] if secret else [])


def test_another_attempt_changes_the_version_of_the_pods_and_another_template_ends_it() -> None:
    def version(made: PolicyServer, attempt: str | None) -> str:
        annotations = named(made, Desired(attempt=attempt))["Deployment mouse"]["spec"]["template"]["metadata"]
        found: str = annotations["annotations"]["policyserver.io/version"]
        return found

    first = version(several(), None)
    assert version(several(), first) == first
    assert version(several(), f"{first}.3") == f"{first}.3"
    other = several(policy("a"), policy("c"))
    assert version(other, f"{first}.3") == version(other, None)
