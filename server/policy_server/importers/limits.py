"""What a fetch may take."""

import threading
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
        self.require_room(0)
        self.seconds_left()
        self.progress(count)

    def require_room(self, count: int) -> None:
        """Looks ahead at `count` bytes that are announced and not here yet.

        Raises:
            ImportFailed: there is no room for them.
        """
        if self._taken + count > self.max_bytes:
            raise ImportFailed(
                f"{redacted(self.uri)} is larger than {self.max_bytes:,} bytes: raise --max-bytes if it should be"
            )

    def start_again(self) -> None:
        """Forgets the bytes of a failed try; the time goes on."""
        self.progress(-self._taken)
        self._taken = 0

    def bounded(self, work: Callable[[], object]) -> None:
        """Does the work in a thread, for which it waits no longer than there is time.

        Libraries limit the time of a connection or a read, not that of all of them together. What is late goes on until
        this process ends, which doesn't wait for it.

        Raises:
            ImportFailed: it was too late, or the work said so; so does any other error of the work.
        """
        failures: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # raised again below
                failures.append(error)

        thread = threading.Thread(target=run, name="fetch", daemon=True)
        thread.start()
        thread.join(self.seconds_left())
        if thread.is_alive():
            raise self.too_late()
        if failures:
            raise failures[0]

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
