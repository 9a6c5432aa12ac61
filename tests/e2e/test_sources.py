"""Where models come from in a cluster: a volume, an object store with keys, and where none may come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster import layout
from tests.e2e.bundles import preferring
from tests.e2e.kubectl import Object
from tests.e2e.space import OBSERVATION, Space
from tests.e2e.test_keys import KUBELET_SYNC

ACCESS_KEY, SECRET_KEY = "AKIAMOUSE", "cheese-is-in-the-third-box"
S3_PORT = 7070
_WRITE = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, open(sys.argv[1], 'wb'))"
_START = f"""
chmod +x /files/versitygw && mkdir -p /files/buckets/models && mv /files/model.zip /files/buckets/models
cd /files && nohup ./versitygw --port :{S3_PORT} --quiet --access {ACCESS_KEY} --secret {SECRET_KEY} \
  posix --nometa buckets > log 2>&1 < /dev/null &
"""


def _pod(space: Space, name: str, volume: Object) -> None:
    """A pod with a volume that it may write to."""
    container = {
        "name": "tool",
        "image": space.target.images["server"],
        "command": ["python", "-c", "import signal; signal.pause()"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "files", "mountPath": "/files"}],
    }
    user = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": user | {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "files"} | volume],
    }
    metadata = {"name": name, "labels": {"app": name}}
    space.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}])
    space.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--namespace={space.name}", "--timeout=120s")


def _write(space: Space, pod: str, path: str, content: bytes) -> None:
    here = f"--namespace={space.name}"
    space.kubectl("exec", "-i", pod, here, "--", "python", "-c", _WRITE, path, stdin=content)


def test_a_model_on_a_volume_is_served(space: Space, tmp_path: Path) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}}
    space.apply([{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "trained"}, "spec": claim}])
    _pod(space, "trainer", {"persistentVolumeClaim": {"claimName": "trained"}})
    _write(space, "trainer", "/files/model.zip", preferring(1, tmp_path / "bundle"))
    space.serve("volume", "pvc://trained/model.zip")
    space.wait_until_ready("volume")
    space.wait_until_routed("volume")
    assert space.ask("volume", "predict_deterministic/", OBSERVATION).body["actions"] == [1]
    (pod,) = space.pods("volume")
    assert _mounting(pod, "claim") == ["fetch"]


def test_a_model_comes_from_an_object_store_with_the_keys_of_a_secret(space: Space, tmp_path: Path) -> None:
    """A missing Secret is told; once it is there, the pod that waits for it goes on."""
    server = layout.cache() / "bin" / "versitygw"
    if not server.exists():
        pytest.skip("not built: python -m tests.cluster build versitygw")
    _pod(space, "store", {"emptyDir": {"sizeLimit": "512Mi"}})
    _write(space, "store", "/files/versitygw", server.read_bytes())
    _write(space, "store", "/files/model.zip", preferring(1, tmp_path / "bundle"))
    space.kubectl("exec", "store", f"--namespace={space.name}", "--", "sh", "-c", _START)
    service = {"selector": {"app": "store"}, "ports": [{"port": S3_PORT}]}
    space.apply([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "store"}, "spec": service}])

    space.serve("kept", "s3://models/model.zip", modelCredentials={"name": "keys"})
    missing = "the Secret keys of spec.modelCredentials isn't there"
    space.wait_for(lambda: missing in space.condition("kept", "ModelsLoaded").get("message", ""), missing)
    keys = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL": f"http://store.{space.name}.svc:{S3_PORT}",
        "PYTHONPATH": "/not/looked/at",
    }
    space.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}])
    space.wait_until_ready("kept", KUBELET_SYNC + 300)
    space.wait_until_routed("kept")
    assert space.ask("kept", "predict_deterministic/", OBSERVATION).body["actions"] == [1]
    (pod,) = space.pods("kept")
    assert _mounting(pod, "credentials") == ["fetch"]
    assert SECRET_KEY not in json.dumps([pod, space.server("kept")])


def test_no_model_comes_from_where_clouds_keep_their_credentials(space: Space) -> None:
    space.serve("metadata", "http://169.254.169.254/latest/meta-data/iam")
    message = "leads to 169.254.169.254, a metadata address"
    space.wait_for(lambda: message in space.condition("metadata", "ModelsLoaded").get("message", ""), message)
    assert space.condition("metadata", "ModelsLoaded")["reason"] == "FetchFailed"


def _mounting(pod: Object, volume: str) -> list[str]:
    containers = (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
    return [one["name"] for one in containers if volume in {mount["name"] for mount in one["volumeMounts"]}]
