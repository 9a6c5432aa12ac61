"""A bundle that reaches for other files, as keys are, is not loaded: whoever made it may not be trusted."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from policy_client import Local
from policy_client.errors import PolicyError
from policy_server.bundle import BundleManifest, Categorical, Origin, write_bundle
from policy_server.errors import BundleError
from policy_server.policy import Policy


@pytest.fixture
def reaching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle whose weights are a file of the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(np.ones((3, 2), np.float32).tobytes())
    weights = numpy_helper.from_array(np.ones((3, 2), np.float32), "weights")
    onnx.external_data_helper.set_external_data(weights, location="secret")
    weights.ClearField("raw_data")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["observations", "weights"], ["distribution_parameters"])],
        "reaching",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("distribution_parameters", TensorProto.FLOAT, ["batch", 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    digest = hashlib.sha256(model).hexdigest()
    origin = Origin(uri="file:///test", format="ONNX", sha256=digest, importer="test")
    manifest = BundleManifest(observation_size=3, distribution=Categorical(size=2), model_sha256=digest, origin=origin)
    write_bundle(tmp_path / "bundle", model, manifest)
    return tmp_path / "bundle"


def test_the_server_loads_no_weights_from_other_files(reaching: Path) -> None:
    with pytest.raises(BundleError, match="xternal"):
        Policy.load(reaching)


def test_the_client_loads_no_weights_from_other_files(reaching: Path) -> None:
    with pytest.raises(PolicyError, match="xternal"):
        Local(reaching)
