"""A memory of what was asked for last."""

from collections import OrderedDict
from typing import Generic, TypeVar

REMEMBERED = 10_000
"""Names that are remembered."""
Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Keeps a value for each of the names that were last asked for."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, name: str) -> Value | None:
        """Returns the value of a name; None: it is forgotten, or never was put."""
        if name in self._values:
            self._values.move_to_end(name)
        return self._values.get(name)

    def put(self, name: str, value: Value) -> None:
        """Remembers the value of a name, and forgets what wasn't asked for longest where that is too much."""
        self._values[name] = value
        self._values.move_to_end(name)
        if len(self._values) > REMEMBERED:
            self._values.popitem(last=False)
