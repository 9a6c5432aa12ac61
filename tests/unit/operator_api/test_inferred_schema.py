import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from pydantic import TypeAdapter, ValidationError

from policy_client import GymnasiumSimulation
from policy_client.observations import plain
from policy_operator.inferred_schema import InferenceOfSchemaFailed, schema_of_environment, schema_of_table
from policy_server.config import ObservationType
from policy_server.observations import observation_type

DICT = {  # Gymnasium sorts it
    "place": spaces.Box(-1.2, 0.6, (2,)),
    "light": spaces.Discrete(3),
    "speed": spaces.Box(-math.inf, 1, (1,)),
}
OBSERVED = {
    "box": spaces.Box(-1.2, 0.6, (2, 2)),
    "unbounded": spaces.Box(-math.inf, math.inf, (3,)),
    "image": spaces.Box(0, 255, (8, 8), np.uint8),
    "many numbers": spaces.Box(0, 255, (80, 80), np.uint8),
    "discrete": spaces.Discrete(4),
    "bits": spaces.MultiBinary(3),
    "several": spaces.MultiDiscrete([2, 3]),
    "tuple": spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (2,))]),
    "dict": spaces.Dict(DICT),
}
Register = Callable[..., str]


@pytest.fixture
def registered(request: pytest.FixtureRequest) -> Register:
    """Registers an environment with some spaces, for one test; returns its name."""

    def register(observed: spaces.Space[Any], acting: spaces.Space[Any]) -> str:
        class Observing(gymnasium.Env[Any, Any]):
            observation_space, action_space = observed, acting

            def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
                return observed.sample(), {}

        gymnasium.register("Observing-v0", lambda **_: Observing())
        request.addfinalizer(lambda: gymnasium.registry.pop("Observing-v0"))
        return "Observing-v0"

    return register


@pytest.mark.parametrize("observed", OBSERVED.values(), ids=OBSERVED)
def test_what_an_environment_observes_is_what_its_schema_accepts(
    observed: spaces.Space[Any], registered: Register
) -> None:
    name = registered(observed, spaces.Discrete(2))
    schema = schema_of_environment(name)
    assert schema.width == (spaces.flatdim(observed), spaces.flatdim(observed))
    accepts = TypeAdapter(observation_type(schema, {}))
    observed.seed(1)
    with gymnasium.make(name, disable_env_checker=True) as environment:
        simulation = GymnasiumSimulation(environment)
        for _ in range(20):
            simulation.reset()
            observation = plain(simulation.get_observation(0))
            if len(schema.observations) == 1 and len(observation) > 1:  # too many to name: sent as the one list
                observation = {"obs": list(observation.values())}
            assert list(accepts.validate_python(observation, strict=True)) == list(observation)


def test_a_bound_that_is_observed_itself_is_accepted_and_no_more(registered: Register) -> None:
    schema = schema_of_environment(registered(spaces.Box(-1.2, 0.6, (1,), np.float32), spaces.Discrete(2)))
    accepts = TypeAdapter(observation_type(schema, {}))
    accepts.validate_python({"obs_0": float(np.float32(-1.2))})
    with pytest.raises(ValidationError):
        accepts.validate_python({"obs_0": float(np.nextafter(np.float32(-1.2), np.float32(-2)))})


def test_the_keys_of_a_dict_are_observations_in_its_own_order(registered: Register) -> None:
    schema = schema_of_environment(registered(spaces.Dict(DICT), spaces.Discrete(2)))
    assert [(each.name, each.type, each.max_items) for each in schema.observations] == [
        ("light", ObservationType.INT_LIST, 3),
        ("place", ObservationType.FLOAT_LIST, 2),
        ("speed", ObservationType.FLOAT, None),
    ]
    assert (schema.observations[2].minimum, schema.observations[2].maximum) == (None, 1)


@pytest.mark.parametrize(
    ("acting", "discrete", "several"),
    [
        (spaces.Discrete(3), True, False),
        (spaces.MultiDiscrete([2, 3]), True, True),
        (spaces.MultiBinary(2), True, True),
        (spaces.Box(-1, 1, (2,)), False, False),
    ],
    ids=str,
)
def test_actions_are_told_apart(acting: spaces.Space[Any], discrete: bool, several: bool, registered: Register) -> None:
    schema = schema_of_environment(registered(spaces.Discrete(2), acting))
    assert (schema.discrete, schema.tuple) == (discrete, several)


@pytest.mark.parametrize(
    ("observed", "acting", "said"),
    [
        (spaces.Sequence(spaces.Discrete(2)), spaces.Discrete(2), "no fixed size: wrap the environment"),
        (spaces.Discrete(2), spaces.Text(3), "a Box of floats can be served"),
        (spaces.Discrete(2), spaces.Box(0, 9, (2,), np.int64), "a Box of floats can be served"),
    ],
    ids=["sequence", "text", "whole numbers"],
)
def test_spaces_that_can_not_be_served_are_refused(
    observed: spaces.Space[Any], acting: spaces.Space[Any], said: str, registered: Register
) -> None:
    with pytest.raises(InferenceOfSchemaFailed, match=said):
        schema_of_environment(registered(observed, acting))


def test_what_is_nothing_is_named() -> None:
    with pytest.raises(InferenceOfSchemaFailed, match="Nothing-v0 is no bundle, no file, and no environment"):
        schema_of_environment("Nothing-v0")


def test_what_installs_gymnasium_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(InferenceOfSchemaFailed, match="pip install gymnasium"):
        schema_of_environment("CartPole-v1")


def table(folder: Path, text: str) -> Path:
    """Writes a CSV."""
    (folder / "seen.csv").write_text(text)
    return folder / "seen.csv"


def test_a_column_has_the_narrowest_type_of_all_its_cells(tmp_path: Path) -> None:
    file = table(tmp_path, "speed,floor,open,mixed\n1.5,3,true,1\n-2e3, 4,False,0.5\n\n")
    schema = schema_of_table(file, continuous=False, several=False)
    types = {each.name: each.type.value for each in schema.observations}
    assert types == {"speed": "float", "floor": "int", "open": "bool", "mixed": "float"}
    assert (schema.discrete, schema.tuple) == (True, False)
    other = schema_of_table(file, continuous=True, several=True)
    assert (other.discrete, other.tuple) == (False, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "give a first line of names"),
        ("a,b\n", "lines of values"),
        ("a,a\n1,2\n", "names that differ"),
        ("a,\n1,2\n", "names that differ"),
        ("a,b\n1,2\n3\n", "line 3: there are 1 values for 2 names"),
        ("a,b\n1,fast\n", r"column b: give a finite number"),
        ("a,b\n1,nan\n", r"column b: give a finite number"),
        ("a,b\n1,\n", r"column b: give a finite number"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InferenceOfSchemaFailed, match=rf"seen\.csv.*{said}"):
        schema_of_table(table(tmp_path, text), continuous=False, several=False)
