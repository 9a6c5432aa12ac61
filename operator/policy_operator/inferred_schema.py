"""The schema that something implies: a Gymnasium environment, a bundle, or a table of observations."""

import csv
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from policy_operator.bundles import described
from policy_operator.errors import PolicyOperatorError
from policy_server.config import Observation, ObservationType, Schema

MOST_NAMED = 4096
"""A schema may have so many observations; more numbers than that are one list."""
LARGEST_BOUND = 1e15
"""A larger one is the greatest number of its type, and says nothing."""


class InferenceOfSchemaFailed(PolicyOperatorError):
    """Something implies no schema."""


def schema_of_environment(name: str) -> Schema:
    """Returns what a Gymnasium environment observes, as `policy_client.GymnasiumSimulation` names it.

    Raises:
        InferenceOfSchemaFailed: Gymnasium or the environment is missing, or its spaces have no fixed size.
    """
    try:
        import gymnasium  # noqa: PLC0415 -- most commands don't need it
    except ImportError as error:
        raise InferenceOfSchemaFailed(f"{error}: pip install gymnasium") from None
    try:
        with gymnasium.make(name) as environment:
            observed, acting = environment.observation_space, environment.action_space
    except (gymnasium.error.Error, ImportError) as error:
        reason = " ".join(str(error).split())
        raise InferenceOfSchemaFailed(f"{name} is no bundle, no file, and no environment: {reason}") from None
    spaces = gymnasium.spaces
    if isinstance(observed, spaces.Dict):
        observations = [_of_part(key, _flat(spaces, part)) for key, part in observed.spaces.items()]
    else:
        observations = _of_numbers(_flat(spaces, observed))
    several = isinstance(acting, spaces.MultiDiscrete | spaces.MultiBinary)
    real = isinstance(acting, spaces.Box) and acting.dtype.kind == "f"
    if not (several or real or isinstance(acting, spaces.Discrete)):
        raise InferenceOfSchemaFailed(
            f"the actions of {name} are {acting}: Discrete, MultiDiscrete, MultiBinary or a Box of floats can be served"
        )
    return Schema(observations=observations, discrete=not real, tuple=several)


def schema_of_bundle(bundle: Path) -> Schema:
    """Returns how many numbers a bundle's model takes, as one list: their names aren't in it.

    Raises:
        ProcessFailed: it is no bundle, which is told already.
    """
    found = described(bundle)
    observations = [_list("obs", ObservationType.FLOAT, found["observationSize"])]
    return Schema(observations=observations, discrete=found["discrete"], tuple=found["tuple"])


def schema_of_table(file: Path, *, continuous: bool, several: bool) -> Schema:
    """Returns an observation for each column of a CSV, of the narrowest type that all of its cells have.

    Args:
        file: its first line holds names.
        continuous: whether actions are real numbers, which a table of observations doesn't tell.
        several: whether an action has several components.

    Raises:
        InferenceOfSchemaFailed: it can't be read, or a cell holds neither a number nor true or false.
    """
    try:
        with file.open(newline="") as opened:
            header, *rows = list(csv.reader(opened)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InferenceOfSchemaFailed(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    rows = [row for row in rows if row]
    if not rows or len(set(header)) < len(header) or not all(header):
        raise InferenceOfSchemaFailed(f"{file}: give a first line of names that differ, and lines of values below it")
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise InferenceOfSchemaFailed(f"{file}, line {number}: there are {len(row)} values for {len(header)} names")
    observations = []
    for index, name in enumerate(header):
        kind = _kind([row[index].strip() for row in rows])
        if kind is None:
            raise InferenceOfSchemaFailed(
                f"{file}, column {name}: give a finite number, or true or false, in each line; leave out what isn't"
                " observed"
            )
        observations.append(Observation(name=name, type=kind))
    return Schema(observations=observations, discrete=not continuous, tuple=several)


def _kind(cells: Sequence[str]) -> ObservationType | None:
    """Returns the narrowest type of all cells; None: there is none."""
    if all(cell.lower() in {"true", "false"} for cell in cells):
        return ObservationType.BOOL
    readers: list[tuple[ObservationType, Callable[[str], float]]] = [
        (ObservationType.INT, int),
        (ObservationType.FLOAT, float),
    ]
    for kind, read in readers:
        with suppress(ValueError, OverflowError):
            if all(math.isfinite(read(cell)) for cell in cells):
                return kind
    return None


def _flat(spaces: Any, space: Any) -> Any:
    """Returns the Box of a space's numbers in one row."""
    flat = spaces.flatten_space(space)
    if not isinstance(flat, spaces.Box):
        raise InferenceOfSchemaFailed(f"what is observed, {space}, has no fixed size: wrap the environment")
    return flat


def _of_numbers(flat: Any) -> list[Observation]:
    """Returns an observation for each number, or one list of them all where they are too many to name."""
    kind = _type_of(flat)
    if len(flat.low) > MOST_NAMED:
        return [_list("obs", kind, len(flat.low), flat)]
    bounds = zip(flat.low.tolist(), flat.high.tolist(), strict=True)
    return [
        Observation(name=f"obs_{index}", type=kind, **_bounds(kind, low, high))
        for index, (low, high) in enumerate(bounds)
    ]


def _of_part(name: str, flat: Any) -> Observation:
    """Returns the observation of one key of a Dict."""
    kind = _type_of(flat)
    if len(flat.low) > 1:
        return _list(name, kind, len(flat.low), flat)
    return Observation(name=name, type=kind, **_bounds(kind, flat.low.item(), flat.high.item()))


def _list(name: str, kind: ObservationType, size: int, flat: Any = None) -> Observation:
    bounds = {} if flat is None else _bounds(kind, flat.low.min().item(), flat.high.max().item())
    return Observation(name=name, type=ObservationType(f"List[{kind}]"), min_items=size, max_items=size, **bounds)


def _type_of(flat: Any) -> ObservationType:
    kinds = {"b": ObservationType.BOOL, "i": ObservationType.INT, "u": ObservationType.INT}
    return kinds.get(flat.dtype.kind, ObservationType.FLOAT)


def _bounds(kind: ObservationType, low: float, high: float) -> dict[str, Any]:
    """Returns the bounds that say something, exactly as they are: an environment may give the bound itself."""
    if kind is ObservationType.BOOL:
        return {}
    return {name: bound for name, bound in (("minimum", low), ("maximum", high)) if abs(bound) < LARGEST_BOUND}
