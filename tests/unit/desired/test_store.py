"""The Valkey that the operator runs for a router."""

import json
from typing import Any

from policy_operator import names
from policy_operator.desired.metadata import labels, selector
from policy_operator.desired.pod import pod_template
from policy_operator.desired.store import objects, password, uses_store
from policy_operator.settings import Settings
from tests.unit.operator_core.test_routers import server


def test_its_pods_and_its_service_are_none_of_the_servers() -> None:
    service, stateful_set = objects(server(2), Settings())
    template = stateful_set["spec"]["template"]
    for found in (service["metadata"]["labels"], template["metadata"]["labels"]):
        assert not selector("mouse").items() <= found.items()
        assert service["spec"]["selector"].items() <= found.items()
        assert labels("mouse")["app.kubernetes.io/managed-by"] == found["app.kubernetes.io/managed-by"]


def test_the_password_is_in_the_secret_alone() -> None:
    one = server(2)
    secret = password(one, "cheese")
    (volume,) = objects(one, Settings())[1]["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"] == {"secretName": secret["metadata"]["name"]}
    assert "cheese" not in json.dumps(objects(one, Settings()))


def test_the_image_is_the_settings() -> None:
    (container,) = objects(server(2), Settings(store_image="redis:7"))[1]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "redis:7"


def test_pods_and_their_store_pull_images_with_the_secrets_of_the_settings() -> None:
    settings = Settings(image_pull_secrets=("mirror", "mine"))
    for made in (pod_template(server(2), "config", settings), objects(server(2), settings)[1]["spec"]["template"]):
        assert made["spec"]["imagePullSecrets"] == [{"name": "mirror"}, {"name": "mine"}]
    assert "imagePullSecrets" not in pod_template(server(2), "config", Settings())["spec"]


def test_a_long_name_leaves_room_for_the_label_of_its_pods() -> None:
    first, second = names.store("m" * 62 + "a"), names.store("m" * 62 + "b")
    assert len(first) == len(second) == 52
    assert first != second


def test_a_pod_uses_the_store_whose_password_it_mounts() -> None:
    def pod(*volumes: dict[str, Any]) -> dict[str, Any]:
        return {"spec": {"volumes": [{"name": "tmp", "emptyDir": {}}, *volumes]}}

    of_store = {"name": "store", "secret": {"secretName": "mouse-store"}}
    assert uses_store([pod(), pod(of_store)], "mouse")
    assert not uses_store([pod(), pod(of_store)], "cat")
    assert not uses_store([pod()], "mouse")
