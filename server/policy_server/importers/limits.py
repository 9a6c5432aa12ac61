"""What a fetch may take."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from policy_server.errors import ImportFailed
from policy_server.importers.uri import redacted


def ignore(count: int) -> None:
    """Takes a piece of progress and does nothing."""


@dataclass
class Budget:
    """The bytes and the time that one fetch may take; one object per fetch."""

    uri: str
    """What is fetched."""
    max_bytes: int
    """Counted while the bytes come in; what a server announces isn't believed."""
    timeout: float
    """Seconds for everything, from the making of this object on."""
    progress: Callable[[int], object] = ignore
    """Is told the size in bytes of each piece."""

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.timeout
        self._taken = 0

    def take(self, count: int) -> None:
        """Counts a piece of `count` bytes.

        Raises:
            ImportFailed: it is too much, or too late.
        """
        self._taken += count
        if self._taken > self.max_bytes:
            raise ImportFailed(
                f"{redacted(self.uri)} is larger than {self.max_bytes:,} bytes: raise --max-bytes if it should be"
            )
        self.seconds_left()
        self.progress(count)

    def start_again(self) -> None:
        """Forgets the bytes of a failed try; the time goes on."""
        self.progress(-self._taken)
        self._taken = 0

    def seconds_left(self) -> float:
        """Returns a positive number.

        Raises:
            ImportFailed: there is no time left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.too_late()
        return left

    def too_late(self) -> ImportFailed:
        """Returns the error for a fetch that took too long."""
        return ImportFailed(
            f"fetching {redacted(self.uri)} took more than {self.timeout:g} s: raise --timeout or look at the server"
        )
