"""Files stand in for the API server: what a PolicyServer names is found in them, or the remedy is told."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_operator.errors import InvalidManifestsError
from policy_operator.kubernetes_yaml import dump
from policy_operator.manifests import read
from policy_operator.schema_text import convert
from tests.routing_cases import policy, routed

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes documents, or a text, into a file of the current folder."""
    monkeypatch.chdir(tmp_path)

    def to(name: str, *documents: dict[str, Any] | str) -> Path:
        texts = [document if isinstance(document, str) else dump([document]) for document in documents]
        Path(name).write_text("---\n".join(texts), encoding="utf-8")
        return Path(name)

    return to


def secret(name: str = "mouse-keys", namespace: str | None = "lab", **fields: object) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **(fields or {"stringData": {"key": "sesame"}})}


def config_map(**data: object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts", "namespace": "lab"}, "data": data}


def refused(*paths: Path) -> list[str]:
    with pytest.raises(InvalidManifestsError) as raised:
        read(paths).resolve()
    return list(raised.value.problems)


def test_a_policy_server_finds_its_key_in_another_file(document: Make, write: Write) -> None:
    manifests = read([write("a.yaml", document()), write("b.yaml", secret())])
    (resolved,) = manifests.resolve()
    assert str(resolved.server) == "PolicyServer lab/mouse"
    assert resolved.api_keys == ("sesame",)
    assert resolved.url_path == "lab/mouse"
    assert [one.name for one in resolved.schema.schema.observations] == ["zebra", "apple"]
    assert manifests.warnings == []


def test_the_standard_input_is_a_file_too(document: Make) -> None:
    (resolved,) = read(["-"], io.StringIO(dump([document(), secret()]))).resolve()
    assert resolved.api_keys == ("sesame",)


def test_every_value_of_a_secret_is_a_key_in_base64_or_as_it_is(document: Make, write: Write) -> None:
    both = secret(data={"old": "b2xk", "new": "eA=="}, stringData={"new": "new"})
    (resolved,) = read([write("a.yaml", document(), both)]).resolve()
    assert resolved.api_keys == ("old", "new")


def test_an_open_server_needs_no_secret(document: Make, write: Write) -> None:
    (resolved,) = read([write("a.yaml", document(apiKeySecret=None, auth="none"))]).resolve()
    assert resolved.api_keys == ()


def test_a_schema_is_found_in_a_config_map_in_its_own_order(document: Make, write: Write) -> None:
    text = "parameters: {discrete: true, url_path: zoo}\nobservations: {zebra: {type: int}, apple: {type: int}}"
    reference = {"configMapKeyRef": {"name": "texts", "key": "schema.yaml"}}
    path = write("a.yaml", document(schema=None, schemaFrom=reference), config_map(**{"schema.yaml": text}), secret())
    (resolved,) = read([path]).resolve()
    assert [one.name for one in resolved.schema.schema.observations] == ["zebra", "apple"]
    assert resolved.url_path == "zoo"


def test_a_converted_schema_is_served_as_it_is(mouse_text: str, write: Write) -> None:
    (resolved,) = read([write("a.yaml", *convert(mouse_text, "mouse", "file:///m").documents)]).resolve()
    assert resolved.url_path == "default/mouse"
    assert resolved.api_keys == ("1234567asdfgh",)


def test_other_kinds_are_ignored_with_a_warning(document: Make, write: Write) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mouse"}}
    manifests = read([write("a.yaml", document(), service, "# nothing\n", secret())])
    assert len(manifests.servers) == 1
    assert manifests.warnings == ["a.yaml: Service default/mouse is ignored; it has no meaning without a cluster"]


def test_a_list_is_its_items(document: Make, write: Write) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [document(), secret()]}
    assert len(read([write("a.yaml", listed)]).resolve()) == 1


def test_files_are_read_as_kubectl_reads_them(document: Make, write: Write) -> None:
    made = document(schema={"observations": [{"name": "a", "type": "float"}]})
    text = dump([made, secret()]).replace("type: float", "type: float\n      minimum: 1e3")
    text = text.replace("namespace: lab", "namespace: lab\n  creationTimestamp: 2026-01-02T03:04:05Z", 1)
    (resolved,) = read([write("a.yaml", text)]).resolve()
    assert resolved.schema.schema.observations[0].minimum == 1000
    assert resolved.server.metadata.creation_timestamp is not None


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        (
            [],
            "names Secret mouse-keys, which is in none of the files; add it (kind: Secret, metadata:"
            " {name: mouse-keys}, stringData: {key: ...}) or say auth: none",
        ),
        (
            [secret(namespace=None)],
            "names Secret mouse-keys, which is in none of the files; add it (kind: Secret, metadata:"
            " {name: mouse-keys}, stringData: {key: ...}) or say auth: none",
        ),
        (
            [secret(stringData={})],
            "names Secret mouse-keys, which holds no key; add one (kind: Secret, metadata: {name: mouse-keys},"
            " stringData: {key: ...})",
        ),
        (
            [secret(stringData={"a": "sesame", "b": "", "c": "\n"})],
            "names Secret mouse-keys, whose b, c is empty; an empty key lets everyone in",
        ),
    ],
)
def test_without_a_usable_key_there_is_no_server(
    document: Make, write: Write, secrets: list[dict[str, Any]], problem: str
) -> None:
    assert refused(write("a.yaml", document(), *secrets)) == [f"a.yaml: PolicyServer lab/mouse {problem}"]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (secret(data={"key": "sesame!"}), "data.key: must be a text in base64; stringData takes it as it is"),
        (secret(data={"key": "é"}), "data.key: must be a text in base64; stringData takes it as it is"),
        (secret(data={"key": "/w=="}), "data.key: must be a text in base64; stringData takes it as it is"),
        (secret(stringData={"key": 12}), "stringData.key: must be a text; put it in quotes"),
        (secret(stringData=["key"]), "stringData: must be a mapping"),
    ],
)
def test_a_broken_secret_is_named_and_not_repeated(write: Write, written: dict[str, Any], problem: str) -> None:
    assert refused(write("a.yaml", written)) == [f"a.yaml: Secret lab/mouse-keys: {problem}"]


def test_an_object_is_there_once(document: Make, write: Write) -> None:
    first, second = write("a.yaml", document(), secret()), write("b.yaml", document(), secret())
    assert refused(first, second) == [
        "b.yaml: PolicyServer lab/mouse is in a.yaml too; remove one of them",
        "b.yaml: Secret lab/mouse-keys: is there twice; remove one of them",
    ]


def test_no_two_servers_share_a_url_path(document: Make, write: Write) -> None:
    other = document(metadata={"name": "cat"}, urlPath="/lab/mouse/")
    assert refused(write("a.yaml", document(), other, secret())) == [
        "PolicyServer lab/mouse and PolicyServer lab/cat have the same url path, lab/mouse; set another spec.urlPath"
    ]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("lab/mouse/predict", "lab/mouse and lab/mouse/predict"),
        ("lab", "lab/mouse and lab"),
    ],
)
def test_no_url_path_is_below_another(document: Make, write: Write, path: str, problem: str) -> None:
    cat, dog = (document(metadata={"name": "cat"}, urlPath=path), document(metadata={"name": "dog"}, urlPath="labs"))
    assert refused(write("a.yaml", document(), cat, dog, secret())) == [
        "PolicyServer lab/mouse and PolicyServer lab/cat have url paths of which one is below the other,"
        f" {problem}; set another spec.urlPath"
    ]


def test_a_wrong_field_is_told_with_file_object_and_field(document: Make, write: Write) -> None:
    assert refused(write("a.yaml", document(replicas=-1), document(metadata={"name": "cat"}, auth="no"))) == [
        "a.yaml: PolicyServer lab/mouse: spec.replicas: must be greater than or equal to 0",
        "a.yaml: PolicyServer lab/cat: spec.auth: must be 'none'",
    ]


def test_a_missing_config_map_is_told_with_file_and_object(document: Make, write: Write) -> None:
    reference = {"configMapKeyRef": {"name": "texts", "key": "schema.yaml"}}
    assert refused(write("a.yaml", document(schema=None, schemaFrom=reference), secret())) == [
        "a.yaml: PolicyServer lab/mouse: spec.schemaFrom.configMapKeyRef.name: there is no ConfigMap texts; make it"
        " with kubectl create configmap texts --from-file=schema.yaml=schema.yaml"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "a.yaml: line 1: expected the node content, but found '<stream end>'"),
        ("a: 1\nb: 2\na: 3", "a.yaml: line 3: a is there twice"),
        ("- a", "a.yaml: a document is no Kubernetes object: it has no kind"),
        ("metadata: {}", "a.yaml: a document is no Kubernetes object: it has no kind"),
        ("a: !!python/object:os.system x", "a.yaml: line 1: could not determine a constructor for the tag"),
        ("a: 1\nx: !!timestamp abc", "a.yaml: line 2: is no valid timestamp"),
        ("x: !!bool abc", "a.yaml: line 1: is no valid bool"),
        ("x: !!int ''", "a.yaml: line 1: is no valid int"),
        ("x: !!float abc", "a.yaml: line 1: is no valid float"),
        ("[" * 5000, "a.yaml: no valid YAML: "),
    ],
)
def test_a_file_that_is_no_manifest_is_named(write: Write, text: str, problem: str) -> None:
    (told,) = refused(write("a.yaml", text))
    assert told.startswith(problem)


def test_a_file_that_cannot_be_read_is_named(write: Write, tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"\xe9")
    assert refused(Path("none.yaml")) == ["none.yaml: there is no such file"]
    assert refused(tmp_path) == [f"{tmp_path}: is a folder; name the files in it"]
    assert refused(latin)[0].startswith(f"{latin}: can't be read: ")


def test_no_key_is_shown_by_accident(document: Make, write: Write) -> None:
    manifests = read([write("a.yaml", document(), secret())])
    assert "sesame" not in repr(manifests)
    assert "sesame" not in repr(manifests.resolve())


def test_a_pathmind_order_survives_every_way(document: Make, write: Write) -> None:
    names = ["zebra", "apple", "mole", "Bee"]
    text = "parameters: {discrete: true}\nobservations:\n" + "".join(f"  {name}: {{type: int}}\n" for name in names)
    converted = convert(text, "mouse", "file:///m").documents[0]
    assert [one["name"] for one in yaml.safe_load(dump([converted]))["spec"]["schema"]["observations"]] == names
    (resolved,) = read([write("a.yaml", document(schema=None, schemaText=text), secret())]).resolve()
    assert [one.name for one in resolved.schema.schema.observations] == names


STORE = {"redis": {"url": "redis://valkey", "passwordSecret": {"name": "valkey"}}}


def test_each_policy_finds_its_credentials_and_the_router_its_password(document: Make, write: Write) -> None:
    policies = [policy(name, modelCredentials={"name": name}) for name in ("a", "b", "c")]
    spec = routed(*policies, mode="UCB1", store=STORE)
    secrets = [secret(name, stringData={"HF_TOKEN": name}) for name in ("a", "b")]
    password = secret("valkey", stringData={"password": "cheese"})
    (resolved,) = read([write("a.yaml", document(**spec), secret(), password, *secrets)]).resolve()
    assert resolved.model_credentials == {"a": {"HF_TOKEN": "a"}, "b": {"HF_TOKEN": "b"}}
    assert resolved.store_password == "cheese"
    assert "cheese" not in repr(resolved)
    assert "HF_TOKEN" not in repr(resolved)


@pytest.mark.parametrize("secrets", [[], [secret("valkey", stringData={"key": "cheese"})]])
def test_a_password_that_is_not_there_is_asked_for(document: Make, write: Write, secrets: list[Any]) -> None:
    made = document(**routed(mode="UCB1", store=STORE))
    assert refused(write("a.yaml", made, secret(), *secrets)) == [
        "a.yaml: PolicyServer lab/mouse names Secret valkey for its router's store, whose password is in none of the"
        " files; add it (kind: Secret, metadata: {name: valkey}, stringData: {password: ...})"
    ]


def test_what_the_operator_would_run_needs_no_password(document: Make, write: Write) -> None:
    made = document(**routed(mode="UCB1"), replicas=3)
    (resolved,) = read([write("a.yaml", made, secret())]).resolve()
    assert resolved.store_password is None
