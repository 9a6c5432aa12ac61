"""API keys in a Secret."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bundles import preferring
from tests.e2e.space import OBSERVATION, Space

KUBELET_SYNC = 180.0
"""Seconds that a mounted Secret may take to reach the pods."""


def _secret(space: Space, **keys: str) -> None:
    space.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}])


def test_keys_rotate_without_a_restart_and_without_a_gap(space: Space, tmp_path: Path) -> None:
    _secret(space, first="one")
    uri = space.tools.serve("keyed.zip", preferring(1, tmp_path / "bundle"))
    space.serve("keyed", uri, auth=None, apiKeySecret={"name": "keys"})
    space.wait_until_ready("keyed")
    space.wait_until_routed("keyed")
    before = [_identity(pod) for pod in space.pods("keyed")]

    def status(key: str) -> int:
        return space.ask("keyed", "predict/", OBSERVATION, **{"access-token": key}).status

    assert (status("one"), status("two")) == (200, 401)
    space.kubectl("patch", "secret/keys", f"--namespace={space.name}", '--patch={"stringData":{"second":"two"}}')
    space.wait_for(lambda: status("two") == 200, "the second key", KUBELET_SYNC)
    assert status("one") == 200
    space.kubectl("patch", "secret/keys", f"--namespace={space.name}", '--patch={"data":{"first":null}}')
    space.wait_for(lambda: status("one") == 401, "the end of the first key", KUBELET_SYNC)
    assert status("two") == 200
    assert [_identity(pod) for pod in space.pods("keyed")] == before


def _identity(pod: dict[str, object]) -> object:
    metadata, status = pod["metadata"], pod["status"]
    assert isinstance(metadata, dict)
    assert isinstance(status, dict)
    return metadata["uid"], [one["restartCount"] for one in status["containerStatuses"]]
