import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from policy_operator.local import Endpoint, LocalServer
from policy_operator.manifests import read
from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.e2e.bundles import zipped
from tests.integration.sources.web import Asked, Said, WebServer
from tests.ports import free_port
from tests.serving import Up, request, run, wait_for

SAMPLE = Path(__file__).parents[2] / "manifests" / "examples" / "cartpole.yaml"
OBSERVATION = {"cart_position": 0.0, "cart_velocity": 0.0, "pole_angle": 0.0, "pole_angular_velocity": 0.0}
KEY = {"access-token": "change-me"}


def manifest(bundle: Path, name: str = "first", **spec: Any) -> str:
    """Returns a PolicyServer over a bundle of three inputs, open to everyone."""
    observations = [{"name": letter, "type": "float"} for letter in "abc"]
    document = {
        "apiVersion": "policyserver.io/v1alpha1",
        "kind": "PolicyServer",
        "metadata": {"name": name},
        "spec": {"modelUri": f"file://{bundle}", "schema": {"observations": observations}, "auth": "none"} | spec,
    }
    return yaml.safe_dump(document, sort_keys=False) + "---\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A policy with three inputs."""
    return write_linear_bundle(tmp_path / "bundle", Categorical(size=4))


@pytest.fixture
def file(tmp_path: Path, bundle: Path) -> Path:
    """A manifest to edit."""
    file = tmp_path / "policyserver.yaml"
    file.write_text(manifest(bundle))
    return file


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The sample manifest, served."""
    with Up(SAMPLE, options=("--send-sample",), cache=tmp_path_factory.mktemp("sample")) as up:
        yield up


@pytest.mark.parametrize("path", ["", "/cartpole"])
def test_the_sample_answers_at_the_root_and_under_its_path(sample: Up, path: str) -> None:
    answer = request(f"{sample.url}{path}/predict/", OBSERVATION, **KEY)
    assert answer.status == 200
    assert answer.body["actions"] in ([0], [1])
    assert request(f"{sample.url}{path}/predict/", OBSERVATION).status == 401


def test_the_sample_policy_pushes_towards_the_side_the_pole_falls_to(sample: Up) -> None:
    for angle, action in ((0.1, 1), (-0.1, 0)):
        falling = OBSERVATION | {"pole_angle": angle, "pole_angular_velocity": angle * 10}
        assert request(f"{sample.url}/predict_deterministic/", falling, **KEY).body["actions"] == [action]


def test_up_shows_the_url_a_curl_line_and_the_first_answer(sample: Up) -> None:
    assert f"URL      {sample.url}/cartpole/" in sample.output
    assert f"curl {sample.url}/cartpole/predict/" in sample.output
    assert 'answer   200 {"actions":[' in sample.output


def test_metrics_are_on_their_own_port(sample: Up) -> None:
    import urllib.request  # noqa: PLC0415 -- text, not the JSON that `request` reads

    request(f"{sample.url}/predict/", OBSERVATION, **KEY)
    with urllib.request.urlopen(f"http://localhost:{sample.metrics_port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    assert 'policyserver_http_requests_total{code="200",policyserver="cartpole",route="/predict/"}' in text
    assert "policyserver_http_request_duration_seconds_bucket" in text
    assert "policyserver_actions_total" in text
    assert request(f"{sample.url}/metrics", **KEY).status == 404


def test_the_serving_process_holds_no_framework(sample: Up) -> None:
    children = Path(f"/proc/{sample.process.pid}/task/{sample.process.pid}/children").read_text().split()
    libraries = [Path(f"/proc/{child}/maps").read_text() for child in children]
    assert any("onnxruntime" in mapped for mapped in libraries)
    assert not any(name in mapped for mapped in libraries for name in ("tensorflow", "libtorch", "ray/_raylet"))


def has_actions(up: Up, number: int) -> bool:
    """Whether the policy that is served right now has so many actions."""
    return len(request(f"{up.url}/distribution/", {"a": 1, "b": 2, "c": 3}).body) == number


def test_an_edit_is_taken_up_without_dropping_a_request(file: Path, bundle: Path, tmp_path: Path) -> None:
    other = write_linear_bundle(tmp_path / "other", Categorical(size=2))
    with Up(file, cache=tmp_path) as up:
        failures: list[object] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                answer = request(f"{up.url}/predict/", {"a": 1, "b": 2, "c": 3})
                if answer.status != 200:
                    failures.append(answer)

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for served, actions in ((other, 2), (bundle, 4), (other, 2)):
                file.write_text(manifest(served))
                wait_for(partial(has_actions, up, actions), "the edit")
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert failures == []


def test_an_edit_that_is_wrong_leaves_what_was_served(file: Path, bundle: Path, tmp_path: Path) -> None:
    with Up(file, cache=tmp_path) as up:
        file.write_text(manifest(bundle, replicaz=2))
        wait_for(lambda: "replicaz" in up.output and "the edit is not served" in up.output, "the message")
        file.write_text(manifest(bundle, schema={"observations": [{"name": "alone", "type": "float"}]}))
        wait_for(lambda: "make 1 values, the model takes 3" in up.output, "the message")
        assert request(f"{up.url}/predict/", {"a": 1, "b": 2, "c": 3}).status == 200
        file.write_text(manifest(bundle, urlPath="moved/here"))
        wait_for(lambda: request(f"{up.url}/moved/here/predict/", {"a": 1, "b": 2, "c": 3}).status == 200, "the move")


def test_several_policyservers_answer_under_their_paths(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "several.yaml"
    file.write_text(manifest(bundle, "first") + manifest(bundle, "second", urlPath="elsewhere"))
    with Up(file, cache=tmp_path) as up:
        body = {"a": 1, "b": 2, "c": 3}
        assert request(f"{up.url}/default/first/predict", body).status == 200
        assert request(f"{up.url}/elsewhere/predict", body).status == 200
        at_root = request(f"{up.url}/predict/", body)
        assert at_root.status == 404
        assert "/default/first/" in at_root.body["detail"]
        assert request(f"{up.url}/healthz").body == "ok"
        file.write_text(manifest(bundle, "second", urlPath="elsewhere"))
        wait_for(lambda: request(f"{up.url}/predict/", body).status == 200, "the other one at the root")


def test_keys_come_from_the_secret_beside_it_and_rotate(file: Path, bundle: Path, tmp_path: Path) -> None:
    def secret(**keys: str) -> str:
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}
        return yaml.safe_dump(document)

    server = manifest(bundle, auth=None, apiKeySecret={"name": "keys"})
    file.write_text(server + secret(old="one"))
    body = {"a": 1, "b": 2, "c": 3}
    with Up(file, cache=tmp_path) as up:
        predict = f"{up.url}/predict/"
        assert request(predict, body, **{"access-token": "one"}).status == 200
        file.write_text(server + secret(old="one", new="two"))
        wait_for(lambda: request(predict, body, **{"access-token": "two"}).status == 200, "the second key")
        assert request(predict, body, **{"access-token": "one"}).status == 200
        file.write_text(server + secret(new="two"))
        wait_for(lambda: request(predict, body, **{"access-token": "one"}).status == 401, "the first key to go")
        assert "one" not in up.output.split()


def test_credentials_for_the_model_come_from_the_secret_beside_it_or_from_this_machine(
    file: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = zipped(bundle)

    def answer(asked: Asked) -> Said:
        return Said(200, model) if asked.headers.get("authorization") == "Bearer cheese" else Said(401)

    with WebServer(answer) as web:
        values = {"HTTP_BEARER_TOKEN": "cheese", "HTTP_ORIGIN": web.url}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "models"}, "stringData": values}
        server = manifest(bundle, modelUri=f"{web.url}/model.zip", modelCredentials={"name": "models"})
        file.write_text(server + yaml.safe_dump(secret))
        with Up(file, cache=tmp_path) as up:
            assert request(f"{up.url}/predict/", {"a": 1, "b": 2, "c": 3}).status == 200
            assert "cheese" not in up.output
        file.write_text(server)
        done = run("up", str(file), cache=tmp_path)
        assert "HTTP 401" in done.stderr
        assert "Secret models of spec.modelCredentials is in none of the files" in done.stderr
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        with Up(file, cache=tmp_path) as up:
            assert request(f"{up.url}/predict/", {"a": 1, "b": 2, "c": 3}).status == 200


def several(good: Path, *bad: str, **others: Path) -> str:
    """Returns a PolicyServer of some bundles and of policies that can't be imported."""
    policies = [{"name": name, "modelUri": f"file:///no/such/{name}"} for name in bad]
    policies += [{"name": name, "modelUri": f"file://{bundle}"} for name, bundle in {"good": good, **others}.items()]
    return manifest(good, modelUri=None, policies=policies, router={"mode": "UCB1"})


def test_a_policy_that_cannot_be_imported_is_told_and_left_out(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "several.yaml"
    file.write_text(several(bundle, "gone"))
    told: list[str] = []
    server = LocalServer([file], Endpoint("127.0.0.1", free_port(), free_port()), told.append)
    try:
        (one,) = read([file]).resolve()
        bundles = server._import(one)
    finally:
        server.stop()
    assert (bundles["good"] / "policy.json").is_file()
    assert not bundles["gone"].exists()
    assert told == ["PolicyServer default/first: policy gone is left out; after an edit it is tried again"]


@pytest.fixture
def routed(bundle: Path, tmp_path: Path) -> Path:
    """A manifest of three policies, one of which can't be imported."""
    other = write_linear_bundle(tmp_path / "other", Categorical(size=4), weights=np.ones((3, 4)))
    file = tmp_path / "routed.yaml"
    file.write_text(several(bundle, "gone", other=other))
    return file


def arms(up: Up) -> dict[str, Any]:
    """What the only router says of its policies, by their names."""
    (router,) = request(f"http://localhost:{up.metrics_port}/routers").body
    return {arm["name"]: arm for arm in router["arms"]}


def rewarded(up: Up, policy: str, count: int) -> bool:
    return bool(arms(up)[policy]["rewards"] == count)


def reward(up: Up) -> str:
    """Has a decision made and rewarded; returns the policy."""
    answer = request(f"{up.url}/predict/", {"a": 1, "b": 2, "c": 3})
    assert answer.status == 200
    told = request(f"{up.url}/feedback", {"decision_id": answer.body["decision_id"], "reward": 1})
    assert (told.status, told.body["outcome"]) == (202, "learned")
    return str(answer.body["policy"])


def test_the_others_serve_where_one_cannot_be_imported(routed: Path, tmp_path: Path) -> None:
    with Up(routed, cache=tmp_path) as up:
        states = {name: arm["state"] for name, arm in arms(up).items()}
        assert states == {"gone": "NotLoaded", "good": "Available", "other": "Available"}
        assert {reward(up) for _ in range(20)} == {"good", "other"}


def test_what_was_learned_outlives_up_until_it_is_to_be_forgotten(routed: Path, tmp_path: Path) -> None:
    with Up(routed, cache=tmp_path) as up:
        policy = reward(up)
        wait_for(partial(rewarded, up, policy, 1), "the reward")
        assert f"learns   {tmp_path}/state/policyserver/default.first.db" in up.output
        up.process.kill()
        up.process.wait()
    with Up(routed, cache=tmp_path) as up:
        assert rewarded(up, policy, 1)
    with Up(routed, options=("--forget",), cache=tmp_path) as up:
        assert rewarded(up, policy, 0)


def test_an_edit_of_the_router_is_followed_without_loading_a_model_again(routed: Path, tmp_path: Path) -> None:
    with Up(routed, cache=tmp_path) as up:
        loaded = up.output.count("first routes among")
        written = routed.read_text()
        edited = written.replace("mode: UCB1", "mode: EpsilonGreedy\n    epsilon: 0.5")
        assert edited != written
        routed.write_text(edited)
        wait_for(lambda: arms(up)["good"]["weight"] in (0.25, 0.75), "the edit to be followed")
        assert up.output.count("first routes among") == loaded


def test_where_no_policy_that_answers_is_left_up_stops(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "several.yaml"
    policies = [
        {"name": "gone", "modelUri": "file:///no/such/model"},
        {"name": "good", "modelUri": f"file://{bundle}", "shadow": True},
    ]
    file.write_text(manifest(bundle, modelUri=None, policies=policies))
    done = run("up", str(file), cache=tmp_path)
    assert done.returncode == 2
    assert "error: file:///no/such/model doesn't exist" in done.stderr


def test_decisions_and_rewards_are_written_to_the_file_that_is_named(routed: Path, tmp_path: Path) -> None:
    log = tmp_path / "decisions.jsonl"
    with Up(routed, options=("--decision-log", str(log)), cache=tmp_path) as up:
        policy = reward(up)
        wait_for(lambda: log.is_file() and log.read_text().count("\n") == 2, "the decision and its reward")
    decision, feedback = (json.loads(line) for line in log.read_text().splitlines())
    assert (decision["type"], decision["policy"]) == ("decision", policy)
    assert (feedback["type"], feedback["outcome"]) == ("feedback", "learned")


def test_a_decision_log_without_a_router_is_refused(file: Path, tmp_path: Path) -> None:
    done = run("up", str(file), "--decision-log", str(tmp_path / "log"), cache=tmp_path)
    assert done.returncode == 2
    assert "error: --decision-log writes what routers decide; no PolicyServer has policies" in done.stderr


def test_render_shows_what_a_router_follows(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "several.yaml"
    file.write_text(several(bundle, "other"))
    rendered = list(yaml.safe_load_all(run("render", str(file), cache=tmp_path).stdout))
    (settings,) = [one for one in rendered if one["metadata"]["name"] == "first-router"]
    assert "UCB1" in settings["data"]["settings.json"]
    (deployment,) = [one for one in rendered if one["kind"] == "Deployment"]
    names = [one["name"] for one in deployment["spec"]["template"]["spec"]["initContainers"]]
    assert names == ["fetch-other", "convert-other", "fetch-good", "convert-good"]


def test_a_killed_server_is_started_again(file: Path, tmp_path: Path) -> None:
    with Up(file, cache=tmp_path) as up:
        children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children")
        (first,) = children.read_text().split()
        os.kill(int(first), signal.SIGKILL)
        wait_for(lambda: children.read_text().split() not in ([], [first]), "another process")

        def answers() -> bool:
            try:
                return request(f"{up.url}/predict/", {"a": 1, "b": 2, "c": 3}).status == 200
            except OSError:
                return False

        wait_for(answers, "an answer")


def test_a_killed_up_leaves_no_server_behind(file: Path, tmp_path: Path) -> None:
    with Up(file, cache=tmp_path) as up:
        (child,) = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
        up.process.kill()
        up.process.wait()
        wait_for(lambda: not Path(f"/proc/{child}").exists(), "the server to end")


def test_a_stopped_up_ends_well_and_leaves_nothing_in_the_temporary_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with Up(file, cache=tmp_path) as up:
        assert list((tmp_path / "temporary").iterdir())
    assert up.process.returncode == 0
    assert not list((tmp_path / "temporary").iterdir())


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "a schema of other width": (
        {"schema": {"observations": [{"name": "a", "type": "List[float]", "minItems": 8, "maxItems": 8}]}},
        "error: the schema's observations make 8 values, the model takes 3",
    ),
    "continuous actions": ({"schema": {"discrete": False}}, "the model's actions are discrete"),
    "a misspelt field": ({"urlpath": "x"}, "did you mean urlPath?"),
    "a model on a volume": (
        {"modelUri": "pvc://trained/mouse.zip"},
        "on a volume of a Kubernetes cluster, which isn't here: name the file itself",
    ),
    "another digest": ({"sha256": "a" * 64}, f"not of {'a' * 64} as was asked for"),
    "no such model": ({"modelUri": "file:///no/such/model"}, "/no/such/model"),
    "a key in plain text": ({"apiKey": "s3cret"}, "policyserver schema convert"),
    "a Secret that is not there": ({"auth": None, "apiKeySecret": {"name": "gone"}}, "add it (kind: Secret"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_stops_up_with_one_line_and_exit_code_2(
    file: Path, bundle: Path, tmp_path: Path, case: str
) -> None:
    spec, message = WRONG[case]
    file.write_text(manifest(bundle, **spec))
    done = run("up", str(file), cache=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


def test_a_port_in_use_is_told_in_one_line(file: Path, tmp_path: Path, sample: Up) -> None:
    done = run("up", str(file), "--port", str(sample.port), cache=tmp_path)
    assert done.returncode == 2
    assert f"error: port {sample.port}" in done.stderr
    assert "Traceback" not in done.stderr
