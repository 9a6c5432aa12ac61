"""Clients that never repeat a request: sends predictions until standard input ends, then prints what came back.

    python load.py URL --body JSON [--header NAME:VALUE] --new 2 --kept 2 --at-least 2500 --at-most-seconds 300

With `--by FIELD`, answers are told apart by this field alone, and when each was seen last is told too.

Some of the clients open a connection for each request, the others keep theirs. Only the standard library is needed, so
that it runs in any pod that has Python.
"""

import argparse
import collections
import contextlib
import http.client
import json
import select
import sys
import threading
import time
import urllib.parse

TIMEOUT = 20.0


class Tally:
    """What all clients saw, together."""

    def __init__(self, by: str | None) -> None:
        self._by = by
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.last: dict[str, float] = {}
        self.requests: collections.Counter[str] = collections.Counter()
        self.answers: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self.slowest = 0.0

    def add(self, kind: str, seconds: float, answer: str | None, failure: str | None) -> None:
        if answer is not None and self._by:
            answer = str(json.loads(answer)[self._by])
        with self._lock:
            self.requests[kind] += 1
            self.slowest = max(self.slowest, seconds)
            if answer is not None:
                self.answers[answer] += 1
                if self._by:
                    self.last[answer] = time.time()
            if failure is not None:
                at = time.monotonic() - self._began
                self.failures.append(f"{at:.2f} s, {kind} connection, after {seconds:.3f} s: {failure}")

    @property
    def total(self) -> int:
        return self.requests.total()

    def report(self) -> str:
        took = time.monotonic() - self._began
        return json.dumps(
            {
                "requests": dict(self.requests),
                "answers": dict(self.answers),
                "last": self.last,
                "failed": len(self.failures),
                "failures": self.failures[:20],
                "slowest": round(self.slowest, 3),
                "seconds": round(took, 1),
            }
        )


class Client:
    """One caller, with one connection at a time."""

    def __init__(self, url: str, body: str, headers: dict[str, str], keeps: bool) -> None:
        parts = urllib.parse.urlsplit(url)
        self._address, self._path = (parts.hostname or "", parts.port or 80), parts.path
        self._body, self._headers, self._keeps = body.encode(), headers, keeps
        self._connection: http.client.HTTPConnection | None = None

    def ask(self) -> tuple[int, str]:
        connection = self._connected()
        connection.request("POST", self._path, self._body, self._headers)
        response = connection.getresponse()
        text = response.read().decode()
        if not self._keeps or response.will_close:
            self.hang_up()
        return response.status, text

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        """The connection that is kept, or a new one where the server has ended it: every client library looks."""
        kept = self._connection
        if kept is not None and kept.sock is not None and select.select([kept.sock], [], [], 0)[0]:
            self.hang_up()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT)
        return self._connection


def call(client: Client, kind: str, every: float, tally: Tally, done: threading.Event) -> None:
    """Asks again and again, `every` so many seconds."""
    while not done.wait(every):
        began = time.monotonic()
        answer, failure = None, None
        try:
            status, text = client.ask()
            if status == 200:
                answer = text
            else:
                failure = f"{status} {text[:200]}"
        except (OSError, http.client.HTTPException) as error:
            client.hang_up()
            failure = repr(error)
        tally.add(kind, time.monotonic() - began, answer, failure)
    client.hang_up()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--body", required=True)
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--by")
    parser.add_argument("--new", type=int, default=2)
    parser.add_argument("--kept", type=int, default=2)
    parser.add_argument("--at-least", type=int, default=0)
    parser.add_argument("--at-most-seconds", type=float, default=300)
    options = parser.parse_args()
    headers = {"Content-Type": "application/json"} | dict(header.split(":", 1) for header in options.header)
    tally, done = Tally(options.by), threading.Event()
    kinds = [("new", 0.01)] * options.new + [("kept", 0.01)] * options.kept
    kinds += [("kept", 0.0), ("kept", 1.0)]  # one always has a request under way, one hardly ever
    callers = []
    for kind, every in kinds:
        client = Client(options.url, options.body, headers, keeps=kind == "kept")
        callers.append(threading.Thread(target=call, args=(client, kind, every, tally, done)))
    for caller in callers:
        caller.start()
    asked_to_end = threading.Thread(target=sys.stdin.read, daemon=True)
    asked_to_end.start()
    deadline = time.monotonic() + options.at_most_seconds
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < deadline and (asked_to_end.is_alive() or tally.total < options.at_least):
            done.wait(0.1)
    done.set()
    for caller in callers:
        caller.join()
    print(tally.report())


if __name__ == "__main__":
    main()
