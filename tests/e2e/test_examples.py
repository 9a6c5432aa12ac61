"""Every file in manifests/examples, as a reader of the README applies it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from policy_operator.manifests import read
from policy_operator.sample_request import sample_request
from tests.cluster.images import REPOSITORY
from tests.e2e.space import Space, status_of
from tests.serving import Up, request

EXAMPLES = REPOSITORY / "manifests" / "examples"
LEFT_OUT = {"mouse.yaml"}
"""They need what the cluster hasn't got, and say so in their header; tests of their own serve them."""
MOUSE = ("mouse_row", "mouse_col", "mouse_row_distance", "mouse_col_distance", "cheese_row", "cheese_col")
MOUSE_OBSERVATION = {name: float(number) for number, name in enumerate(MOUSE, 1)}


def test_examples_that_are_left_out_say_what_they_need() -> None:
    needy = {file.name for file in EXAMPLES.glob("*.yaml") if re.search("^# Needs: ", file.read_text(), re.MULTILINE)}
    assert needy == LEFT_OUT


@pytest.mark.parametrize("file", sorted(file.name for file in EXAMPLES.glob("*.yaml") if file.name not in LEFT_OUT))
def test_an_example_becomes_ready_and_answers_through_service_and_ingress(space: Space, file: str) -> None:
    manifest = (EXAMPLES / file).read_text()
    space.apply(manifest)
    for served in read([EXAMPLES / file]).resolve():
        name = served.server.metadata.name
        space.wait_until_ready(name)
        space.wait_until_routed(name)
        sample = sample_request(served, space.target.ingress_url)
        assert sample is not None
        body = yaml.safe_load(sample.body)
        inside = space.tools.ask(f"{space.service_url(name)}/predict/", body, **sample.headers)
        outside = request(sample.url, body, **sample.headers)
        assert (inside.status, outside.status) == (200, 200), (inside.body, outside.body)
        assert inside.body.keys() == outside.body.keys() >= {"actions"}
        assert space.tools.ask(f"{space.service_url(name)}/predict/", body).status == 401
        _assert_documented(space, name)


def _assert_documented(space: Space, name: str) -> None:
    """The page, and what it loads, come through the ingress under the url path: browsers behind it see no other."""
    page = space.tools.ask(f"http://{name}.{space.name}.svc/{space.path(name)}/docs")
    assert page.status == 200
    loaded = re.findall(r'(?:src|href)="(/[^"]+)"', page.body)
    assert loaded
    for path in [f"/{space.path(name)}/docs", f"/{space.path(name)}/openapi.json", *loaded]:
        assert path.startswith(f"/{space.path(name)}/")
        assert status_of(f"{space.target.ingress_url}{path}") == 200, path


def test_a_saved_model_is_converted_and_answers_as_on_a_laptop(
    space: Space, real_policies: Path, tmp_path: Path
) -> None:
    """The schema's names aren't in alphabetical order, which `kubectl apply` must not change."""
    model = (real_policies / "mouse_and_cheese" / "saved_model.zip").read_bytes()
    uri = space.tools.serve("mouse/saved_model.zip", model)
    manifest = (EXAMPLES / "mouse.yaml").read_text().replace("https://models.example/mouse/saved_model.zip", uri)
    space.apply(manifest)
    space.wait_until_ready("mouse", 300)  # TensorFlow is imported in the pod
    space.wait_until_routed("mouse")
    key = {"access-token": "change-me"}
    served = space.ask("mouse", "distribution/", MOUSE_OBSERVATION, **key)
    (pod,) = space.pods("mouse")
    images = {one["name"]: one["image"] for one in (*pod["spec"]["initContainers"], *pod["spec"]["containers"])}
    wanted = space.target.images
    assert images == {"fetch": wanted["server"], "convert": wanted["importer-tensorflow"], "server": wanted["server"]}

    (tmp_path / "saved_model.zip").write_bytes(model)
    local = tmp_path / "mouse.yaml"
    local.write_text(manifest.replace(uri, f"file://{tmp_path}/saved_model.zip"))
    with Up(local, cache=tmp_path) as up:
        expected = request(f"{up.url}/mouse/distribution/", MOUSE_OBSERVATION, **key)
    assert served.status == expected.status == 200
    assert served.body == pytest.approx(expected.body, rel=1e-6)  # another processor may round otherwise
