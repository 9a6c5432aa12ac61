"""Episodes of a recurrent policy over the Open Inference Protocol, by Triton's own client."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from policy_server.sampling import softmax
from tests.models import loop, recurrent_model, write_recurrent_bundle
from tests.server_process import Server

STEPS, ENDED = 5, 2


def tensor(name: str, values: NDArray[Any]) -> InferInput:
    return InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype)).set_data_from_numpy(values)


def test_states_come_and_go_as_tensors_and_a_row_of_zeros_begins_an_episode(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).normal(size=(STEPS, 2, 3)).astype(np.float32)
    model = recurrent_model()
    # The first episode goes through; the second begins anew after a while.
    through = loop(model, rows[:, 0].tolist())
    anew = loop(model, rows[:ENDED, 1].tolist()) + loop(model, rows[ENDED:, 1].tolist())
    with (
        Server(tmp_path, bundle=write_recurrent_bundle(tmp_path / "recurrent")) as server,
        InferenceServerClient(f"127.0.0.1:{server.port}") as client,
    ):
        state: Any = None
        for step, observed in enumerate(rows):
            given = [tensor("observations", observed)]
            if state is not None:
                state = state.copy()
                state[1] *= step != ENDED
                given.append(tensor("state", state))
            result = client.infer("test", given)
            state = result.as_numpy("state")
            for row, expected in enumerate((through[step][0], anew[step][0])):
                action = int(result.as_numpy("actions")[row, 0])
                assert result.as_numpy("probability")[row] == pytest.approx(softmax(expected)[action], abs=1e-6)
        state = state ^ np.uint8(1)
        with pytest.raises(InferenceServerException, match="was changed"):
            client.infer("test", [tensor("observations", rows[0]), tensor("state", state)])
