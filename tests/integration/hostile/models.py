"""Models of Keras, ONNX and TensorFlow, and bundles."""

import base64
import json
import marshal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.integration.hostile.corpus import case, zip_of


def onnx_model(*nodes: Any, initializers: list[Any] | None = None, weights: np.ndarray | None = None) -> bytes:
    if not nodes:
        nodes = (helper.make_node("MatMul", ["obs", "weights"], ["logits"]),)
        matrix = np.ones((2, 2), np.float32) if weights is None else weights
        initializers = [numpy_helper.from_array(matrix, "weights"), *(initializers or [])]
    graph = helper.make_graph(
        list(nodes),
        "policy",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        initializers or [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def keras_config(layer: dict[str, Any]) -> dict[str, Any]:
    given = {"class_name": "InputLayer", "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "given"}}
    layer = {"class_name": "Dense", "config": {"name": "out", "units": 2}} | layer
    return {"class_name": "Sequential", "config": {"name": "policy", "layers": [given, layer]}}


def keras_h5(path: Path, config: Any) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.create_group("model_weights").attrs["layer_names"] = []


def keras_zip(path: Path, config: bytes) -> None:
    weights = path.with_name("weights.h5")
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    path.write_bytes(zip_of({"config.json": config, "metadata.json": b"{}", "model.weights.h5": weights.read_bytes()}))
    weights.unlink()


def _lambda(canary: Path) -> dict[str, Any]:
    code = compile(f"lambda x: __import__('os').mkdir({str(canary)!r})", "hostile", "eval").co_consts[0]
    body = [base64.b64encode(marshal.dumps(code)).decode(), None, None]
    config = {"name": "hidden", "function": body, "function_type": "lambda", "arguments": {}}
    return {"class_name": "Lambda", "config": config, "module": "keras.layers", "registered_name": None}


@case(r"layer 'hidden' \(Lambda\) runs code .* trust")
def lambda_layer_in_h5(source: Path, canary: Path) -> None:
    keras_h5(source, keras_config(_lambda(canary)))


@case(r"layer 'hidden' \(Lambda\) runs code .* trust")
def lambda_layer_in_keras(source: Path, canary: Path) -> None:
    keras_zip(source, json.dumps(keras_config(_lambda(canary))).encode())


@case("isn't part of Keras", "--trust")
def keras_model_that_names_a_function_of_the_system(source: Path, canary: Path) -> None:
    function = {"module": "os", "class_name": "function", "config": "mkdir", "registered_name": "mkdir"}
    keras_zip(
        source, json.dumps(keras_config({"config": {"name": "out", "units": 2, "activation": function}})).encode()
    )


@case("is a link: save the model itself", "--trust")
def h5_that_links_to_another_file(source: Path, canary: Path) -> None:
    keras_h5(source, keras_config({}))
    with h5py.File(source, "r+") as file:
        file["model_weights"]["other"] = h5py.ExternalLink("/etc/passwd", "/")


@case("memory|can't load the model", megabytes=1200)
def keras_layer_larger_than_any_memory(source: Path, canary: Path) -> None:
    keras_h5(source, keras_config({"config": {"name": "out", "units": 2_000_000_000}}))


@case("damaged|nested too deeply")
def deep_json_in_h5(source: Path, canary: Path) -> None:
    with h5py.File(source, "w") as file:
        file.attrs["model_config"] = '{"config":' * 6_000


@case("damaged|nested too deeply")
def deep_json_in_keras(source: Path, canary: Path) -> None:
    keras_zip(source, b"[" * 900_000)


@case("bytes, no policy's has")
def hundred_megabytes_of_json_in_keras(source: Path, canary: Path) -> None:
    filler = ",".join(f'"{at:09d}"' for at in range(8_500_000))
    keras_zip(source, f'{{"class_name": "Sequential", "config": [{filler}]}}'.encode())


@case("damaged or truncated")
def truncated_h5(source: Path, canary: Path) -> None:
    keras_h5(source, keras_config({}))
    source.write_bytes(source.read_bytes()[:1500] + b"model_config")


@case("external data")
def onnx_that_reads_another_file(source: Path, canary: Path) -> None:
    tensor = numpy_helper.from_array(np.ones((2, 2), np.float32), "secret")
    onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
    tensor.ClearField("raw_data")
    node = helper.make_node("MatMul", ["obs", "secret"], ["logits"])
    source.write_bytes(onnx_model(node, initializers=[tensor]))


@case("memory|fails on|can't load")
def onnx_that_asks_for_more_memory_than_there_is(source: Path, canary: Path) -> None:
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("Add", ["obs", "sum"], ["logits"]),
    ]
    source.write_bytes(onnx_model(*nodes, initializers=[shape]))


@case("took more than 10 s .* --timeout", "--timeout=10")
def onnx_that_never_ends(source: Path, canary: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b]) for a, b in (("going", "still"), ("before", "after"))],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["batch", 2]),
        ],
    )
    loop = helper.make_node("Loop", ["", "on", "obs"], ["logits"], body=body)
    source.write_bytes(onnx_model(loop, initializers=[numpy_helper.from_array(np.array(True), "on")]))


@case("isn't finite")
def onnx_of_nan(source: Path, canary: Path) -> None:
    source.write_bytes(onnx_model(weights=np.full((2, 2), np.nan, np.float32)))


@case("unknown format")
def truncated_onnx(source: Path, canary: Path) -> None:
    source.write_bytes(onnx_model()[:-10])


@case("onnxruntime can't load")
def deep_onnx(source: Path, canary: Path) -> None:
    inner = b""
    for _ in range(20_000):  # a graph in an attribute of a node of a graph …
        for number in (6, 5, 1):
            inner = bytes([number << 3 | 2]) + _length(len(inner)) + inner
    source.write_bytes(b"\x08\x08" + b"\x3a" + _length(len(inner)) + inner)


def _length(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _bundle(source: Path, manifest: bytes) -> None:
    source.mkdir()
    (source / "policy.onnx").write_bytes(onnx_model())
    (source / "policy.json").write_bytes(manifest)


@case("policy.json")
def deep_json_in_a_bundle(source: Path, canary: Path) -> None:
    _bundle(source, b'{"a":' * 1_000_000)


@case("100,000,030 bytes, no manifest has")
def hundred_megabytes_of_json_in_a_bundle(source: Path, canary: Path) -> None:
    _bundle(source, b'{"formatVersion": 1, "x": [' + b"1," * 50_000_000 + b"1]}")


@case("policy.json")
def nan_in_a_bundle(source: Path, canary: Path) -> None:
    distribution = {"kind": "DiagonalGaussian", "size": 1, "low": [float("nan")], "high": [float("inf")]}
    _bundle(source, json.dumps({"formatVersion": 1, "observationSize": 2, "distribution": distribution}).encode())


@case("damaged or no SavedModel|tagged", megabytes=1200)
def saved_model_of_other_bytes(source: Path, canary: Path) -> None:
    source.mkdir()
    (source / "saved_model.pb").write_bytes(bytes(range(255, 0, -1)) * 100)


@case("error: ")
def names_that_speak_to_the_terminal(source: Path, canary: Path) -> None:
    source.mkdir()
    (source / "\x1b]0;owned\x07\x1b[2Jmodel.txt").write_text("x")
