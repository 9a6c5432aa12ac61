"""Models that come over HTTP, and what becomes of those that can't be served."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.e2e.bundles import particular, preferring
from tests.e2e.kubectl import Object
from tests.e2e.space import OBSERVATION, Space
from tests.e2e.test_examples import MOUSE, MOUSE_OBSERVATION
from tests.integration.hostile.models import lambda_layer_in_keras
from tests.serving import Up, request


def test_a_bundle_over_http_needs_the_servers_image_alone(space: Space, tmp_path: Path) -> None:
    space.serve("bundle", space.tools.serve("bundle.zip", preferring(1, tmp_path / "bundle")))
    space.wait_until_ready("bundle")
    space.wait_until_routed("bundle")
    assert space.ask("bundle", "predict_deterministic/", OBSERVATION).body["actions"] == [1]
    (pod,) = space.pods("bundle")
    containers = (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
    assert {one["image"] for one in containers} == {space.target.images["server"]}


def test_a_schema_keeps_its_order_through_kubectl_apply(space: Space, tmp_path: Path) -> None:
    """Names that aren't in alphabetical order, as a list and as a Pathmind text: the same answers as of `up`."""
    model = particular(tmp_path / "bundle", len(MOUSE))
    uri = space.tools.serve("ordered.zip", model)
    listed: Object = {"schema": {"observations": [{"name": name, "type": "float"} for name in MOUSE]}}
    mapping = {name: {"type": "float"} for name in MOUSE}
    parameters = {"discrete": True, "tuple": False}
    text = yaml.safe_dump({"observations": mapping, "parameters": parameters}, sort_keys=False)
    forms: dict[str, Object] = {"listed": listed, "text": {"schema": None, "schemaText": text}}
    for name, schema in forms.items():
        space.serve(name, uri, **schema)
    (tmp_path / "bundle.zip").write_bytes(model)
    document = {"apiVersion": "policyserver.io/v1alpha1", "kind": "PolicyServer", "metadata": {"name": "local"}}
    spec = {"modelUri": f"file://{tmp_path}/bundle.zip", "auth": "none", **listed}
    (tmp_path / "local.yaml").write_text(yaml.safe_dump(document | {"spec": spec}, sort_keys=False))
    with Up(tmp_path / "local.yaml", cache=tmp_path) as up:
        expected = request(f"{up.url}/distribution/", MOUSE_OBSERVATION).body
    for name in forms:
        space.wait_until_ready(name)
        space.wait_until_routed(name)
        assert space.ask(name, "distribution/", MOUSE_OBSERVATION).body == expected


def test_a_schema_that_contradicts_the_model_is_told_with_both_numbers(space: Space, tmp_path: Path) -> None:
    uri = space.tools.serve("contradicted.zip", preferring(0, tmp_path / "bundle"))
    space.serve("contradicted", uri, schema={"observations": [{"name": "alone", "type": "float"}]})
    message = "make 1 values, the model takes 3"
    space.wait_for(lambda: message in space.condition("contradicted", "ModelsLoaded").get("message", ""), message)
    assert space.condition("contradicted", "Ready")["status"] == "False"


def test_code_in_a_model_runs_only_where_it_is_trusted_and_the_condition_says_so(space: Space, tmp_path: Path) -> None:
    lambda_layer_in_keras(tmp_path / "hidden.keras", tmp_path / "canary")
    space.serve("hidden", space.tools.serve("hidden.keras", (tmp_path / "hidden.keras").read_bytes()), format="Keras")
    said = "layer 'hidden' (Lambda) runs code"
    space.wait_for(lambda: said in space.condition("hidden", "ModelsLoaded").get("message", ""), said)
    described = space.kubectl("describe", "policyserver", "hidden", f"--namespace={space.name}")
    assert "say `trust: true`" in " ".join(described.split())


def test_what_converts_models_has_given_up_its_rights_in_a_restricted_pod(space: Space, tmp_path: Path) -> None:
    """Containers of a pod run under the same restrictions: what `convert` gives up is tried in the one that lives."""
    space.serve("sandboxed", space.tools.serve("sandboxed.zip", preferring(0, tmp_path / "bundle")))
    space.wait_until_ready("sandboxed")
    (pod,) = space.pods("sandboxed")
    name = pod["metadata"]["name"]
    said = space.kubectl("exec", name, f"--namespace={space.name}", "--", "python", "-c", _RESTRICTED)
    assert "writes only in /tmp/own (Landlock" in said
    assert "no network and no other programs (seccomp)" in said
    assert said.count("refused") == 3, said


_RESTRICTED = """
import pathlib, socket, subprocess
from policy_server.importers.sandbox import restrict
own = pathlib.Path("/tmp/own")
own.mkdir()
print(restrict(own, max_memory=2**30, max_file=2**20))
(own / "file").write_text("allowed")
for forbidden in (
    lambda: pathlib.Path("/tmp/file").write_text(""),
    lambda: socket.create_connection(("10.0.0.1", 80)),
    lambda: subprocess.run(["true"]),
):
    try:
        forbidden()
    except OSError as error:
        print("refused", error)
"""


def test_replicas_serve_one_model_even_when_the_uri_gives_another_each_time(space: Space, tmp_path: Path) -> None:
    """The digest that was fetched first holds: a pod with another model is replaced."""
    models = [preferring(action, tmp_path / str(action)) for action in (0, 1)]
    space.serve("pinned", space.tools.in_turn("pinned", *models), replicas=2)
    space.wait_until_ready("pinned", 300)
    space.wait_until_routed("pinned")
    message = space.condition("pinned", "ModelsLoaded")["message"]
    assert message.count("sha256:") == 1, message
    answers = [space.ask("pinned", "predict_deterministic/", OBSERVATION).body["actions"] for _ in range(30)]
    assert len({str(answer) for answer in answers}) == 1
