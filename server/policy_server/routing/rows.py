"""Where in the rows of a request an error is: its location begins with the row, or after `STATE` with it."""

from collections.abc import Sequence
from typing import Any

from policy_server.errors import ObservationError
from policy_server.recurrence import STATE

Location = tuple[str | int, ...]


def require_episodes(states: Sequence[Any], episodes: Sequence[str | None]) -> None:
    """Raises ObservationError where a row has a state without the episode that it is of."""
    for row, (state, episode) in enumerate(zip(states, episodes, strict=True)):
        if state is not None and episode is None:
            raise without_episode(STATE, row)


def without_episode(*location: str | int) -> ObservationError:
    """Returns the error of a state that has no episode."""
    return ObservationError("Send the episode_id of the answer that the state is from, too", location)


def of_one_row(location: Location) -> Location:
    """Returns where an error of one row alone is: without the row."""
    return location[:1] if location[:1] == (STATE,) else location[1:]


def among_rows(rows: Sequence[int], location: Location) -> Location:
    """Returns where an error of some rows is among all of them."""
    index = 1 if location[:1] == (STATE,) else 0
    return (*location[:index], rows[int(location[index])], *location[index + 1 :])
