"""The load generator: `python -m tests.bench.load '{"port": …}'` asks one server for a while and prints figures.

It needs the standard library alone and works on bare sockets, so that one core of it asks faster than any of the
servers answers; what share of its core it used is among the figures.

Closed loop: each connection sends its next request when it has its answer. Open loop: requests fall due at a steady
rate whatever the server does, and latency counts from when a request fell due, so that a server which stalls can't make
the generator look away ("coordinated omission").
"""

import gc
import json
import select
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass

from tests.bench.connection import Connection

# How long an open loop waits for what is still under way when its time is over.
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Load:
    """What is asked of a server; `rate` is in requests per second and makes it an open loop."""

    port: int
    request: str
    connections: int
    seconds: float
    rate: float | None = None


@dataclass
class Figures:
    """What came of it; latencies are in milliseconds."""

    answered: int = 0
    failed: int = 0
    unanswered: int = 0
    reconnects: int = 0
    seconds: float = 0.0
    requests_per_second: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    generator_share: float = 0.0


def closed_loop(connections: list[Connection], epoll: select.epoll, seconds: float) -> tuple[list[float], int]:
    """Returns all latencies in seconds, and how many requests went unanswered for a second or more at the end."""
    latencies: list[float] = []
    by_file = {connection.fileno(): connection for connection in connections}
    clock = time.perf_counter
    end = clock() + seconds
    for connection in connections:
        connection.send(clock())
    while (now := clock()) < end:
        for file, _ in epoll.poll(end - now):
            connection = by_file[file]
            if connection.answered():
                now = clock()
                latencies.append(now - connection.since)
                connection.send(now)
            if connection.fileno() != file:
                by_file[connection.fileno()] = connection
    stuck = sum(clock() - connection.since > 1 for connection in connections)
    return latencies, stuck


def open_loop(
    connections: list[Connection], epoll: select.epoll, seconds: float, rate: float
) -> tuple[list[float], int]:
    """Returns all latencies in seconds, those without an answer with what they had waited, and how many those are."""
    latencies: list[float] = []
    by_file = {connection.fileno(): connection for connection in connections}
    clock = time.perf_counter
    idle, waiting, total = deque(connections), deque[float](), int(seconds * rate)
    busy: set[int] = set()
    start = clock()
    fallen_due = 0
    while len(latencies) < total and (now := clock()) < start + seconds + PATIENCE_SECONDS:
        while fallen_due < total and start + fallen_due / rate <= now:
            waiting.append(start + fallen_due / rate)
            fallen_due += 1
        while waiting and idle:
            connection = idle.popleft()
            busy.add(connection.fileno())
            connection.send(waiting.popleft())
        next_due = start + fallen_due / rate - clock() if fallen_due < total else PATIENCE_SECONDS
        # epoll itself counts in milliseconds; select waits to the microsecond, for the one file that epoll is.
        select.select([epoll], [], [], max(0.0, next_due))
        for file, _ in epoll.poll(0):
            connection = by_file[file]
            done = connection.answered()
            if done and file in busy:
                latencies.append(clock() - connection.since)
            if connection.fileno() != file:
                by_file[connection.fileno()] = connection
            if done:
                busy.discard(file)
                idle.append(connection)
    now = clock()
    never_sent = [now - due for due in waiting]
    under_way = [now - connection.since for connection in connections if connection not in idle]
    return latencies + never_sent + under_way, len(never_sent) + len(under_way)


def measure(load: Load) -> Figures:
    """Asks a server as the load says."""
    epoll = select.epoll()
    connections = [Connection(load.port, load.request.encode(), epoll) for _ in range(load.connections)]
    gc.disable()
    start, used = time.perf_counter(), time.process_time()
    if load.rate is None:
        latencies, unanswered = closed_loop(connections, epoll, load.seconds)
        seconds = load.seconds
    else:
        latencies, unanswered = open_loop(connections, epoll, load.seconds, load.rate)
        seconds = time.perf_counter() - start
    share = (time.process_time() - used) / (time.perf_counter() - start)
    latencies.sort()
    answered = len(latencies) - (unanswered if load.rate else 0)
    return Figures(
        answered=answered,
        failed=sum(connection.failed for connection in connections),
        unanswered=unanswered,
        reconnects=sum(connection.reconnects for connection in connections),
        seconds=seconds,
        requests_per_second=answered / seconds,
        p50=_percentile(latencies, 0.5),
        p99=_percentile(latencies, 0.99),
        generator_share=share,
    )


def _percentile(ascending: list[float], share: float) -> float:
    return 1000 * ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else float("nan")


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Load(**json.loads(sys.argv[1]))))))
