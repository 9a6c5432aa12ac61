"""The Open Inference Protocol, by Triton's own client."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.integration.protocols.conftest import KEY, KEYED_PATH, OPEN_PATH
from tests.serving import Up

FALLING = np.array([[0, 0, 0.1, 1], [0, 0, -0.1, -1]])
HEADERS = {"access-token": KEY}


@pytest.fixture
def client(served: Up) -> Any:
    """Talks to the open PolicyServer."""
    with InferenceServerClient(f"{served.url.removeprefix('http://')}/{OPEN_PATH}") as client:
        yield client


def observations(rows: NDArray[Any], *, binary: bool = True) -> InferInput:
    tensor = InferInput("observations", list(rows.shape), np_to_triton_dtype(rows.dtype))
    return tensor.set_data_from_numpy(rows, binary_data=binary)


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("open")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["name"] == "policyserver"
    model = client.get_model_metadata("open")
    assert model["inputs"] == [{"name": "observations", "datatype": "FP32", "shape": [-1, 4]}]
    (version,) = model["versions"]
    assert client.is_model_ready("open", version)
    assert client.get_model_metadata("open", version) == model
    assert client.infer("open", [observations(FALLING)], version).as_numpy("actions").shape == (2, 1)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_inference_in_json_and_in_bytes(client: Any, binary_in: bool, binary_out: bool | None) -> None:
    names = ("actions", "probability", "distribution_parameters")
    outputs = binary_out is not None and [InferRequestedOutput(name, binary_data=binary_out) for name in names]
    given = observations(FALLING.astype(np.float32), binary=binary_in)
    result = client.infer("open", [given], outputs=outputs or None, request_id="7")
    assert result.get_response()["id"] == "7"
    actions, probability = result.as_numpy("actions"), result.as_numpy("probability")
    assert (actions.dtype, actions.tolist()) == (np.int64, [[1], [0]])
    assert (probability.dtype, probability.tolist()) == (np.float64, [1.0, 1.0])
    parameters = result.as_numpy("distribution_parameters")
    if outputs:
        assert parameters.tolist() == [pytest.approx([-1200, 1200]), pytest.approx([1200, -1200])]
    else:
        assert parameters is None


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int8, np.int64, np.uint16, np.bool_])
def test_numbers_of_other_types_are_taken(client: Any, kind: Any) -> None:
    rows = np.array([[0, 0, 1, 1]] * 3).astype(kind)
    result = client.infer("open", [observations(rows)], parameters={"deterministic": True})
    assert result.as_numpy("actions").tolist() == [[1]] * 3


def test_what_is_wrong_is_raised_in_its_words(client: Any) -> None:
    for model, rows, message in (
        ("open", np.zeros((2, 3), np.float32), "the model takes rows of 4"),
        ("other", np.zeros((1, 4), np.float32), "There is no model other; there is open"),
        ("open", np.full((1, 4), np.nan, np.float32), "not finite"),
    ):
        with pytest.raises(InferenceServerException, match=message):
            client.infer(model, [observations(rows)])


def test_a_key_goes_into_a_header(served: Up) -> None:
    with InferenceServerClient(f"{served.url.removeprefix('http://')}/{KEYED_PATH}") as client:
        assert client.is_server_ready()
        with pytest.raises(InferenceServerException, match="API key missing or wrong"):
            client.infer("keyed", [observations(FALLING)])
        result = client.infer("keyed", [observations(FALLING)], headers=HEADERS)
        assert result.as_numpy("actions").tolist() == [[1], [0]]
