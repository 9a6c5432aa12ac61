"""Two servers that are asked in turns: `python -m tests.bench.turns '{"ports": …}'` prints how one stands to the other.

What a busy machine does to servers lasts seconds: it reaches both alike. A difference of a few per cent that rounds of
one server after another hide shows here.
"""

import json
import select
import statistics
import sys
import time
from dataclasses import asdict, dataclass

from tests.bench.connection import Connection
from tests.bench.load import PATIENCE_SECONDS

TURN_SECONDS = 0.1


@dataclass(frozen=True)
class Pair:
    """Who is asked what: ports and requests; the same number of connections each, for so long in all."""

    ports: tuple[int, int]
    requests: tuple[str, str]
    connections: int
    seconds: float


@dataclass
class Compared:
    """What came of it.

    Attributes:
        ratio: of the first's requests per second to the second's: the median over all turns, each with the one after.
        turns: how many each had.
        failed: answers that were no success.
    """

    ratio: float
    turns: int
    failed: int


class Server:
    """One of the two; its connections stay while the other is asked."""

    def __init__(self, port: int, request: str, connections: int) -> None:
        self._epoll = select.epoll()
        self._connections = [Connection(port, request.encode(), self._epoll) for _ in range(connections)]

    @property
    def failed(self) -> int:
        """How many answers were no success."""
        return sum(connection.failed for connection in self._connections)

    def turn(self, seconds: float) -> float:
        """Asks in a closed loop, waits for the last answers, and returns the requests per second.

        Raises:
            TimeoutError: some don't come.
        """
        clock = time.perf_counter
        by_file = {connection.fileno(): connection for connection in self._connections}
        start, answered, waiting = clock(), 0, len(self._connections)
        for connection in self._connections:
            connection.send(start)
        while waiting:
            ready = self._epoll.poll(PATIENCE_SECONDS)
            if not ready:
                raise TimeoutError(f"{waiting} answers don't come")
            for file, _ in ready:
                connection = by_file[file]
                if connection.answered():
                    answered += 1
                    if (now := clock()) < start + seconds:
                        connection.send(now)
                    else:
                        waiting -= 1
                by_file[connection.fileno()] = connection
        return answered / (clock() - start)


def compare(pair: Pair) -> Compared:
    """Asks both in turns; who is first in a pair of turns changes with each."""
    servers = [Server(port, request, pair.connections) for port, request in zip(pair.ports, pair.requests, strict=True)]
    for server in servers:
        server.turn(5 * TURN_SECONDS)  # warms up
    ratios: list[float] = []
    for number in range(max(1, round(pair.seconds / (2 * TURN_SECONDS)))):
        order = (0, 1) if number % 2 else (1, 0)
        rates = {place: servers[place].turn(TURN_SECONDS) for place in order}
        ratios.append(rates[0] / rates[1])
    return Compared(statistics.median(ratios), len(ratios), sum(server.failed for server in servers))


if __name__ == "__main__":
    print(json.dumps(asdict(compare(Pair(**json.loads(sys.argv[1]))))))
