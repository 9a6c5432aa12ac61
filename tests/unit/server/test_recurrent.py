"""Recurrent policies: their memory goes to the client and comes back, through every protocol."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from pydantic import ValidationError
from starlette.testclient import TestClient

from policy_server.app import create_app
from policy_server.bundle import MOST_STATE, BundleManifest, Categorical, State, read_bundle
from policy_server.config import Schema, ServerConfig
from policy_server.deciding import Alone
from policy_server.engine import Engine
from policy_server.errors import BundleError, ImportFailed, SchemaMismatch
from policy_server.importers.convert import convert
from policy_server.importers.onnx_state import STATE_PROPERTY
from policy_server.recurrence import Recurrence
from policy_server.sampling import softmax
from policy_server.tallies import Tallies
from tests.bundles import config_text, floats, write_linear_bundle
from tests.models import STATES, loop, recurrent_model, write_model_bundle, write_recurrent_bundle
from tests.unit.server.conftest import Serve

NAMES = floats("zebra", "apple", "mango")
EPISODE = np.random.default_rng(11).normal(size=(6, 3)).astype(np.float32).tolist()
TOLD = (
    {"input": "hidden_in", "output": "hidden_out", "shape": [4]},
    {
        "input": "trace_in",
        "output": "trace_out",
        "shape": [1, 3],
    },
)
PROPERTIES = {STATE_PROPERTY: json.dumps(TOLD)}


@pytest.fixture
def client(serve: Serve, tmp_path: Path) -> TestClient:
    """Serves the recurrent policy."""
    return serve(write_recurrent_bundle(tmp_path / "recurrent"), NAMES)


def body(observation: list[float], state: str | None = None) -> dict[str, Any]:
    named = dict(zip(("zebra", "apple", "mango"), observation, strict=True))
    return named | ({} if state is None else {"state": state})


def expected() -> list[tuple[list[float], list[float]]]:
    """Each step's probabilities and the memory after it, by a loop of ONNX Runtime itself."""
    return [(softmax(logits), memory.tolist()) for logits, memory in loop(recurrent_model(), EPISODE)]


def remembered(state: str | list[int]) -> list[float]:
    """The numbers in a state, or in the bytes of one."""
    sealed = base64.b64decode(state) if isinstance(state, str) else bytes(state)
    numbers: list[float] = np.frombuffer(sealed[16:], "<f4").tolist()
    return numbers


def ask(client: TestClient, path: str, content: Any) -> Any:
    answer = client.post(path, json=content)
    assert answer.status_code == 200, answer.text
    return answer.json()


Step = Callable[[TestClient, list[float], Any], tuple[int, float | None, Any]]


def pathmind(client: TestClient, observation: list[float], state: Any) -> tuple[int, float | None, Any]:
    answer = ask(client, "/predict/", body(observation, state))
    return answer["actions"][0], answer["probability"], answer["state"]


def raw(client: TestClient, observation: list[float], state: Any) -> tuple[int, float | None, Any]:
    answer = ask(client, "/predict_raw/", {"obs": observation, "state": state})
    return answer["actions"][0], answer["probability"], answer["state"]


def batch(client: TestClient, observation: list[float], state: Any) -> tuple[int, float | None, Any]:
    other, answer = ask(client, "/predict_batch/", [body(EPISODE[3]), body(observation, state)])
    assert other["state"] != answer["state"]
    return answer["actions"][0], answer["probability"], answer["state"]


def tutorial(client: TestClient, observation: list[float], state: Any) -> tuple[int, float | None, Any]:
    answer = ask(client, "/", {"observation": observation, "state": state})
    return answer["action"], None, answer["state"]


def seldon(client: TestClient, observation: list[float], state: Any) -> tuple[int, float | None, Any]:
    tags = {} if state is None else {"tags": {"state": [None, state]}}
    asked = {"data": {"ndarray": [EPISODE[3], observation]}, "meta": tags}
    answer = ask(client, "/api/v1.0/predictions", asked)
    told = answer["meta"]["tags"]
    return answer["data"]["ndarray"][1][0], told["probability"][1], told["state"][1]


def inference(client: TestClient, observation: list[float], state: Any) -> tuple[int, float | None, Any]:
    tensors = [{"name": "observations", "shape": [2, 3], "datatype": "FP32", "data": [*EPISODE[3], *observation]}]
    if state is not None:
        # The first row begins an episode.
        data = [[0] * len(state), state]
        tensors.insert(0, {"name": "state", "shape": [2, len(state)], "datatype": "UINT8", "data": data})
    outputs = ask(client, "/v2/models/test/infer", {"inputs": tensors})["outputs"]
    actions, probability, states = (output["data"] for output in outputs)
    return actions[1], probability[1], states[len(states) // 2 :]


DOORS = [pathmind, raw, batch, tutorial, seldon, inference]


@pytest.mark.parametrize("door", DOORS)
def test_an_episode_is_that_of_onnx_runtimes_own_loop(client: TestClient, door: Step) -> None:
    state = None
    for observation, (probabilities, memory) in zip(EPISODE, expected(), strict=True):
        action, probability, state = door(client, observation, state)
        assert probability is None or probability == pytest.approx(probabilities[action], abs=1e-6)
        assert remembered(state) == pytest.approx(memory, abs=1e-6)


def test_the_distribution_is_that_of_the_state_and_moves_nothing_on(client: TestClient) -> None:
    state = None
    for observation, (probabilities, _) in zip(EPISODE, expected(), strict=True):
        table = ask(client, "/distribution/", body(observation, state))
        assert list(table.values()) == pytest.approx(probabilities, abs=1e-6)
        *_, state = pathmind(client, observation, state)


@pytest.mark.parametrize("door", DOORS)
def test_what_was_remembered_makes_a_difference(client: TestClient, door: Step) -> None:
    *_, first = door(client, EPISODE[0], None)
    *_, again = door(client, EPISODE[0], None)
    *_, second = door(client, EPISODE[0], first)
    assert first == again != second


def test_the_most_likely_action_takes_and_gives_the_state_too(client: TestClient) -> None:
    state = None
    for observation, (probabilities, _) in zip(EPISODE, expected(), strict=True):
        answer = ask(client, "/predict_deterministic/", body(observation, state))
        assert answer["actions"] == [int(np.argmax(probabilities))]
        assert answer["probability"] == pytest.approx(max(probabilities), abs=1e-6)
        state = answer["state"]


def test_another_replica_goes_on_with_the_episode(client: TestClient, serve: Serve, tmp_path: Path) -> None:
    *_, state = pathmind(client, EPISODE[0], None)
    other = serve(write_recurrent_bundle(tmp_path / "copy"), NAMES)
    assert pathmind(other, EPISODE[1], state)[2] == pathmind(client, EPISODE[1], state)[2]


def test_null_is_the_beginning_of_an_episode(client: TestClient) -> None:
    assert (
        ask(client, "/predict/", body(EPISODE[0]) | {"state": None})["state"] == pathmind(client, EPISODE[0], None)[2]
    )


def sealed(memory: list[float], model: bytes | None = None) -> str:
    """A state that the model didn't give, with its seal."""
    manifest = BundleManifest(
        observation_size=3,
        distribution=Categorical(size=3),
        model_sha256=hashlib.sha256(model or recurrent_model()).hexdigest(),
        state=STATES,
        origin={"uri": "", "format": "", "sha256": "", "importer": ""},
    )
    return Recurrence(manifest).sealed(np.array(memory, np.float32))


GOOD = [0.5] * 7
WRONG: dict[str, tuple[Any, str]] = {
    "changed": (sealed(GOOD)[:30] + "AAAA" + sealed(GOOD)[34:], "was changed"),
    "another model's": (sealed(GOOD, recurrent_model(seed=8)), "another model gave it"),
    "cut": (sealed(GOOD)[:-4], "characters"),
    "too long": (sealed(GOOD) + "AAAA", "at most"),
    "empty": ("", "characters"),
    "not base64": ("*" * len(sealed(GOOD)), "base64"),
    "not ASCII": ("ü" * len(sealed(GOOD)), "base64"),
    "NaN": (sealed([*GOOD[1:], float("nan")]), "not finite"),
    "infinite": (sealed([*GOOD[1:], float("inf")]), "not finite"),
    "a number": (7, "string"),
    "a list": ([sealed(GOOD)], "string"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("path", ["/predict/", "/predict_deterministic/", "/distribution/", "/predict_raw/", "/"])
def test_a_state_that_the_model_did_not_give_is_refused(client: TestClient, path: str, wrong: str) -> None:
    state, says = WRONG[wrong]
    raws = {"/predict_raw/": {"obs": EPISODE[0]}, "/": {"observation": EPISODE[0]}}
    answer = client.post(path, json=raws.get(path, body(EPISODE[0])) | {"state": state})
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == ["body", "state"]
    assert says in detail["msg"]


def test_one_that_it_did_give_is_taken(client: TestClient) -> None:
    assert client.post("/predict/", json=body(EPISODE[0], sealed(GOOD))).status_code == 200


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(index=st.integers(0, 59), character=st.characters(max_codepoint=127))
def test_no_character_can_be_changed(client: TestClient, index: int, character: str) -> None:
    state = sealed(GOOD)
    changed = state[:index] + character + state[index + 1 :]
    answer = client.post("/predict/", json=body(EPISODE[0], changed))
    assert answer.status_code == (200 if changed == state else 422)


def test_a_batch_tells_which_state_is_wrong(client: TestClient) -> None:
    state, _ = WRONG["changed"]
    answer = client.post("/predict_batch/", json=[body(EPISODE[0]), body(EPISODE[1], state)])
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", 1, "state"]


@pytest.mark.parametrize(
    ("tags", "location"),
    [
        ({"state": sealed(GOOD)}, []),
        ({"state": [sealed(GOOD)]}, []),
        ({"state": [sealed(GOOD), 7]}, [1]),
        ({"state": [sealed(GOOD), WRONG["changed"][0]]}, [1]),
    ],
)
def test_seldons_tags_with_another_state_are_refused(
    client: TestClient, tags: dict[str, Any], location: list[int]
) -> None:
    asked = {"data": {"ndarray": EPISODE[:2]}, "meta": {"tags": tags}}
    answer = client.post("/api/v1.0/predictions", json=asked)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "meta", "tags", "state", *location]


def tensor(name: str, shape: list[int], datatype: str, data: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


OBSERVED = tensor("observations", [1, 3], "FP32", EPISODE[0])
BYTES = list(base64.b64decode(sealed(GOOD)))


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([OBSERVED, tensor("state", [1, 44], "UINT8", [1, *BYTES[1:]])], "was changed"),
        ([OBSERVED, tensor("state", [1, 43], "UINT8", BYTES[1:])], r"shape \[1, 44\]"),
        ([OBSERVED, tensor("state", [2, 44], "UINT8", BYTES * 2)], r"shape \[1, 44\]"),
        ([OBSERVED, tensor("state", [1, 44], "INT16", [-1, *BYTES[1:]])], "must be the bytes"),
        ([OBSERVED, tensor("state", [1, 44], "UINT16", [256 + BYTES[0], *BYTES[1:]])], "must be the bytes"),
        ([OBSERVED, tensor("state", [1, 44], "UINT8", ["x", *BYTES[1:]])], "must be numbers"),
        ([OBSERVED, OBSERVED], "twice"),
        ([tensor("state", [1, 44], "UINT8", BYTES)], "observations is missing"),
    ],
)
def test_tensors_that_are_no_state_are_refused(client: TestClient, inputs: list[Any], says: str) -> None:
    answer = client.post("/v2/models/test/infer", json={"inputs": inputs})
    assert answer.status_code == 422
    assert re.search(says, answer.json()["error"])


def test_states_travel_as_bytes_behind_the_json(client: TestClient) -> None:
    def infer(state: bytes | None) -> bytes:
        inputs: list[Any] = [OBSERVED]
        if state is not None:
            told = {"binary_data_size": len(state)}
            inputs.append({"name": "state", "shape": [1, 44], "datatype": "UINT8", "parameters": told})
        outputs = [{"name": "state", "parameters": {"binary_data": True}}]
        text = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
        headers = {"inference-header-content-length": str(len(text))}
        answer = client.post("/v2/models/test/infer", content=text + (state or b""), headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.content[int(answer.headers["inference-header-content-length"]) :]

    first = pathmind(client, EPISODE[0], None)[2]
    assert infer(None) == base64.b64decode(first)
    assert infer(infer(None)) == base64.b64decode(pathmind(client, EPISODE[0], first)[2])


def test_the_metadata_tell_of_the_state(client: TestClient) -> None:
    metadata = client.get("/v2/models/test").json()
    for tensors in (metadata["inputs"], metadata["outputs"]):
        assert tensors[-1] == {"name": "state", "datatype": "UINT8", "shape": [-1, 44]}


def test_a_policy_without_memory_answers_without_state(serve: Serve, categorical: Path) -> None:
    client = serve(categorical, NAMES)
    assert ask(client, "/predict/", body(EPISODE[0])).keys() == {"actions", "probability"}
    inputs = [OBSERVED, tensor("state", [1, 44], "UINT8", BYTES)]
    assert client.post("/v2/models/test/infer", json={"inputs": inputs}).status_code == 422


def test_an_observation_may_be_called_state_where_the_policy_has_none(serve: Serve, tmp_path: Path) -> None:
    names = floats("state", "b", "c")
    client = serve(write_linear_bundle(tmp_path / "plain", Categorical(size=2)), names)
    assert client.post("/predict/", json={"state": 1, "b": 2, "c": 3}).status_code == 200
    with pytest.raises(SchemaMismatch, match="rename the observation"):
        serve(write_recurrent_bundle(tmp_path / "recurrent"), names)


def test_openapi_tells_of_the_state(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    schemas = document["components"]["schemas"]
    assert {"maxLength": 60, "type": "string"} in schemas["Observation"]["properties"]["state"]["anyOf"]
    assert "state" not in schemas["Observation"]["required"]
    answer = document["paths"]["/predict/"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert "state" in schemas[answer["$ref"].rsplit("/", 1)[1]]["required"]


def test_the_short_way_answers_as_fastapi_does(tmp_path: Path) -> None:
    text = config_text(write_recurrent_bundle(tmp_path / "recurrent"), NAMES, seed=3)

    def made() -> Any:
        config = ServerConfig.model_validate_json(text)
        return create_app(Alone(Engine.load(config, config.policies[0]), Tallies()), None, Tallies())

    (app, _), (_, short) = made(), made()
    alone, state = TestClient(app), None
    for observation in EPISODE:
        content = json.dumps(body(observation, state)).encode()
        answer = alone.post("/predict/", content=content).content
        assert short["/predict/"].answer(content, None) == answer
        state = json.loads(answer)["state"]
    wrong = json.dumps(body(EPISODE[0], WRONG["changed"][0])).encode()
    assert short["/predict/"].answer(wrong, None) is None


def test_a_mask_holds_in_every_step(serve: Serve, tmp_path: Path) -> None:
    bundle = write_recurrent_bundle(tmp_path / "recurrent")
    client = serve(bundle, [{"name": "allowed", "type": "List[bool]", "mask": True}])
    state = None
    for allowed in ([True, False, False], [False, False, True], [False, True, False]):
        answer = ask(client, "/predict/", {"allowed": allowed, "state": state})
        assert answer["actions"] == [allowed.index(True)]
        state = answer["state"]
    refused = client.post("/predict/", json={"allowed": [False] * 3, "state": state})
    assert refused.json()["detail"][0]["loc"] == ["body", "allowed"]


def test_a_memory_that_grows_beyond_numbers_is_the_policys_failure(serve: Serve, tmp_path: Path) -> None:
    model = recurrent_model(growth=1e30)
    client = serve(write_recurrent_bundle(tmp_path / "growing", model), NAMES)
    state = None
    for code in (200, 200, 500):
        answer = client.post("/predict/", json=body(EPISODE[0], state))
        assert answer.status_code == code
        state = answer.json().get("state")
    assert "state after this observation is not finite" in answer.json()["detail"]


def test_large_memories_make_for_small_batches(tmp_path: Path) -> None:
    state = [State(input="a", output="b", shape=[MOST_STATE])]
    _, manifest = read_bundle(write_recurrent_bundle(tmp_path / "recurrent"))
    assert Recurrence(manifest.model_copy(update={"state": state})).most_rows == 64
    with pytest.raises(ValidationError, match="65537 numbers, at most 65536"):
        BundleManifest.model_validate(
            manifest.model_dump() | {"state": [{"input": "a", "output": "b", "shape": [MOST_STATE + 1]}]}
        )


@pytest.mark.parametrize("name", ["observations", "hidden_in"])
def test_a_manifest_names_each_tensor_once(tmp_path: Path, name: str) -> None:
    _, manifest = read_bundle(write_recurrent_bundle(tmp_path / "recurrent"))
    twice = [*manifest.model_dump()["state"], {"input": name, "output": "x", "shape": [1]}]
    with pytest.raises(ValidationError, match="not all different"):
        BundleManifest.model_validate(manifest.model_dump() | {"state": twice})


def test_a_bundle_whose_state_the_model_does_not_have_is_not_served(serve: Serve, tmp_path: Path) -> None:
    other = [STATES[0], State(input="trace_in", output="trace_out", shape=[3])]
    for index, states in enumerate(([], STATES[:1], other)):
        bundle = write_model_bundle(tmp_path / str(index), recurrent_model(), Categorical(size=3), states)
        with pytest.raises(BundleError):
            serve(bundle, NAMES)


def imported(folder: Path, properties: dict[str, str], names: tuple[str, ...] = ("a", "b", "c")) -> BundleManifest:
    source = folder / "recurrent.onnx"
    source.write_bytes(recurrent_model(properties=properties))
    schema = Schema.model_validate({"observations": floats(*names)})
    return convert(source, folder / "bundle", schema=schema).manifest


def test_plain_onnx_says_its_state_in_its_metadata(serve: Serve, tmp_path: Path) -> None:
    assert imported(tmp_path, PROPERTIES).state == STATES
    client, state = serve(tmp_path / "bundle", NAMES), None
    properties = recurrent_model(properties=PROPERTIES)
    for observation, (logits, _) in zip(EPISODE, loop(properties, EPISODE), strict=True):
        action, probability, state = pathmind(client, observation, state)
        assert probability == pytest.approx(softmax(logits)[action], abs=1e-6)


def test_a_bundle_is_copied_with_its_state(tmp_path: Path) -> None:
    manifest = imported(tmp_path, PROPERTIES)
    assert convert(tmp_path / "bundle", tmp_path / "copy").manifest == manifest


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (None, "policyserver.state"),
        ("[", "policyserver.state is wrong"),
        ("[]", "policyserver.state is wrong"),
        (json.dumps(TOLD[:1]), "needed is one float32 input"),
        (json.dumps([*TOLD, {"input": "more", "output": "x", "shape": [1]}]), "no input of the model"),
        (json.dumps([TOLD[0] | {"output": "nothing"}, TOLD[1]]), "no output of the model"),
        (json.dumps([TOLD[0] | {"shape": [5]}, TOLD[1]]), r"needed is float32 \[batch, 5\]"),
        (json.dumps([TOLD[0], TOLD[1] | {"shape": [3]}]), r"needed is float32 \[batch, 3\]"),
        (json.dumps([TOLD[0], TOLD[1] | {"input": "hidden_in"}]), "twice"),
        (json.dumps([TOLD[0] | {"size": 4}]), "policyserver.state is wrong"),
    ],
)
def test_a_wrong_state_is_not_imported(tmp_path: Path, said: str | None, says: str) -> None:
    with pytest.raises(ImportFailed, match=says):
        imported(tmp_path, {} if said is None else {STATE_PROPERTY: said})


def test_an_observation_called_state_is_refused_at_import(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="rename the observation"):
        imported(tmp_path, PROPERTIES, ("a", "state", "c"))
