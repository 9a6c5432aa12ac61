"""A request that a served PolicyServer accepts, to copy and to try."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_operator.manifests import Resolved
from policy_server.config import Observation, ObservationType

KEY_HEADER = "access-token"


@dataclass(frozen=True)
class SampleRequest:
    """One POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def curl(self) -> str:
        """The request as a line for a shell."""
        headers = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in self.headers.items())
        return f"curl {self.url} {headers} -d {shlex.quote(self.body.decode())}"


def sample_request(served: Resolved, base_url: str) -> SampleRequest | None:
    """Returns a prediction to ask for; None where only the model knows how long an observation is."""
    observations = served.schema.schema.observations
    if not observations or any(observation.width[1] is None for observation in observations):
        return None
    headers = {"Content-Type": "application/json"}
    if served.api_keys:
        headers[KEY_HEADER] = served.api_keys[0].strip()
    body = {observation.name: _sample(observation) for observation in observations}
    return SampleRequest(f"{base_url}/{served.url_path}/predict/", headers, json.dumps(body).encode())


def _sample(observation: Observation) -> Any:
    item = _number(observation)
    return [item] * (observation.max_items or 0) if observation.type.is_list else item


def _number(observation: Observation) -> int | float | bool:
    """Returns the value nearest to 0 within the bounds; true for bools, which as a mask allows every action."""
    if observation.type.item is ObservationType.BOOL:
        return True
    lowest = observation.minimum if observation.minimum is not None else 0.0
    highest = observation.maximum if observation.maximum is not None else max(lowest, 0.0)
    nearest = min(max(0.0, lowest), highest)
    return int(nearest) if observation.type.item is ObservationType.INT else nearest
