"""Tensors of the Open Inference Protocol: JSON or binary on the wire, numpy here.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md and its binary
extension, https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol/binary-tensor-data-extension:
a header tells how long the JSON is, and the tensors' bytes (little-endian, row by row) follow it.
"""

import math
from typing import Any

import numpy as np
from fastapi import HTTPException
from fastapi.routing import APIRoute
from numpy.typing import NDArray
from starlette.requests import Request

from policy_server.errors import ObservationError

JSON_LENGTH_HEADER = "inference-header-content-length"
DATATYPES = {
    "BOOL": "?",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_NAMES = {np.dtype(code): name for name, code in DATATYPES.items()}


class TensorRequest(Request):
    """A request whose body may go on with tensors after its JSON; they are in `state.tensors`."""

    async def body(self) -> bytes:
        """Returns the JSON alone.

        Raises:
            HTTPException: the header is no length, or one beyond the body's.
        """
        whole = await super().body()
        length = self.headers.get(JSON_LENGTH_HEADER)
        if length is None:
            return whole
        if not (length.isascii() and length.isdigit() and len(length) < 20):
            raise HTTPException(400, f"{JSON_LENGTH_HEADER} must be a number of bytes")
        if (end := int(length)) > len(whole):
            raise HTTPException(400, f"{JSON_LENGTH_HEADER} says {end} bytes, the body has {len(whole)}")
        self.state.tensors = whole[end:]
        return whole[:end]


class TensorRoute(APIRoute):
    """A route whose requests may hold binary tensors."""

    def get_route_handler(self) -> Any:
        """Returns FastAPI's own handler, given the JSON of the body alone."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Any:
            scope = request.scope
            if JSON_LENGTH_HEADER in request.headers:  # clients then say that it is application/octet-stream
                others = [header for header in scope["headers"] if header[0] != b"content-type"]
                scope = {**scope, "headers": [*others, (b"content-type", b"application/json")]}
            return await handle(TensorRequest(scope, request.receive))

        return handle_json


def tensors_after(request: Request) -> bytes:
    """Returns the bytes that followed a request's JSON."""
    tensors: bytes = getattr(request.state, "tensors", b"")
    return tensors


def decoded(data: list[Any], shape: list[int]) -> NDArray[Any]:
    """Returns a tensor that was written as JSON, flat or nested.

    Raises:
        ObservationError: it holds other than numbers, or not as many as its shape says.
    """
    try:
        values = np.asarray(data) if data else np.empty(0)
    except (ValueError, TypeError, OverflowError):  # ragged, or nested deeper than numpy goes
        raise ObservationError("The data are ragged: give them flat, or nested as the shape says") from None
    if values.dtype.kind not in "bfiu":
        raise ObservationError("The data must be numbers")
    if values.size != math.prod(shape):
        raise ObservationError(f"The shape {shape} has {math.prod(shape)} values, there are {values.size}")
    return values.reshape(shape)


def decoded_bytes(data: bytes, shape: list[int], datatype: str) -> NDArray[Any]:
    """Returns a tensor that was written as bytes.

    Raises:
        ObservationError: there are not as many bytes as its shape and type say.
    """
    kind = np.dtype(DATATYPES[datatype])
    expected = math.prod(shape) * kind.itemsize
    if len(data) != expected:
        raise ObservationError(f"The shape {shape} of {datatype} has {expected} bytes, there are {len(data)}")
    # A byte that is neither 0 nor 1 is no bool to numpy.
    values = np.frombuffer(data, np.uint8) != 0 if datatype == "BOOL" else np.frombuffer(data, kind)
    return values.reshape(shape)


def datatype_of(tensor: NDArray[Any]) -> str:
    """Returns the protocol's name for a tensor's type."""
    return _NAMES[tensor.dtype]
