import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from policy_server.config import Schema

Dimensions = Sequence[int | str | None]


@pytest.fixture
def onnx_policy() -> Callable[..., bytes]:
    """A model that multiplies observations with a matrix of seeded numbers; every part can be made wrong."""

    def build(
        width: int = 4,
        parameters: int = 2,
        *,
        input_shape: Dimensions | None = None,
        input_type: int = TensorProto.FLOAT,
        outputs: Sequence[str] = ("logits",),
        extra_inputs: Sequence[str] = (),
        properties: dict[str, str] | None = None,
        weights: np.ndarray | None = None,
        external: str | None = None,
    ) -> bytes:
        if weights is None:
            weights = np.random.default_rng(3).normal(size=(width, parameters)).astype(np.float32)
        tensor = numpy_helper.from_array(weights, "weights")
        if external is not None:
            onnx.external_data_helper.set_external_data(tensor, location=external)
            tensor.ClearField("raw_data")
        shape: Dimensions = ["batch", width] if input_shape is None else list(input_shape)
        nodes = (
            [] if input_type == TensorProto.FLOAT else [helper.make_node("Cast", ["obs"], ["x"], to=TensorProto.FLOAT)]
        )
        source = "x" if nodes else "obs"
        nodes += [helper.make_node("MatMul", [source, "weights"], [name]) for name in outputs]
        graph = helper.make_graph(
            nodes,
            "policy",
            [
                helper.make_tensor_value_info("obs", input_type, shape),
                *(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in extra_inputs),
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", parameters]) for name in outputs],
            [tensor],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, properties or {})
        return model.SerializeToString()

    return build


@pytest.fixture
def onnx_file(tmp_path: Path, onnx_policy: Callable[..., bytes]) -> Callable[..., Path]:
    def write(**options: object) -> Path:
        path = tmp_path / "source" / "anything.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(onnx_policy(**options))
        return path

    return write


@pytest.fixture
def schema_of() -> Callable[..., Schema]:
    def build(width: int = 4, *, discrete: bool = True, several: bool = False) -> Schema:
        names = [{"name": f"x{index}", "type": "float"} for index in range(width)]
        return Schema.model_validate({"observations": names, "discrete": discrete, "tuple": several})

    return build


@pytest.fixture
def zip_of() -> Callable[[dict[str, bytes]], bytes]:
    def build(members: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return build
