"""Several processes that serve one port: Python uses one core in each, and a pod may be given more.

The kernel shares out connections among those that listen with SO_REUSEPORT (socket(7)). One process watches over the
others, starts those anew that die, and answers Prometheus with the sum of what all have counted.
"""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Lock, Thread
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from policy_server.metrics import families
from policy_server.tallies import Tallies

log = logging.getLogger(__name__)

Work = Callable[[Any, Connection], int]
"""Serves until a signal, tells its tallies through the connection, and returns the exit code."""

_PAUSE_SECONDS = 1.0
_ANSWER_SECONDS = 1.0

BAD_INPUT = 2
"""The exit code of a process that can't begin, with the reason on stderr."""


def answer_with(tallies: Tallies, connection: Connection) -> None:
    """Answers each question for the tallies with what they are then, in a thread of its own."""

    def answer() -> None:
        try:
            while True:
                connection.recv()
                connection.send(tallies.copy())
        except (EOFError, OSError):  # the one who asks is gone, and so will be this process
            return

    Thread(target=answer, daemon=True, name="tallies").start()


class _Worker:
    """One process that serves."""

    def __init__(self, work: Work, arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_run, args=(work, arguments, theirs))
        self.process.start()
        theirs.close()
        self._last = Tallies()

    def tallies(self) -> Tallies:
        """Returns what it has counted; what it said last, where it doesn't answer."""
        try:
            while self._connection.poll():  # answers that came too late the last time
                self._last = self._connection.recv()
            self._connection.send(None)
            if self._connection.poll(_ANSWER_SECONDS):
                self._last = self._connection.recv()
        except (EOFError, OSError):
            pass
        return self._last


def _run(work: Work, arguments: Any, connection: Connection) -> None:
    raise SystemExit(work(arguments, connection))


class Supervisor(Collector):
    """Runs `count` processes until a signal; what they count, it adds up."""

    def __init__(self, work: Work, arguments: Any, count: int, parent: int | None = None) -> None:
        """Takes what each process does, with which arguments; and the parent without which there's no going on."""
        self._work = work
        self._arguments = arguments
        self._count = count
        self._parent = parent
        self._workers: list[_Worker] = []
        self._ended = Tallies()
        self._stopping = False
        self._lock = Lock()

    def run(self) -> int:
        """Returns 0 after a signal; or `BAD_INPUT` when the first processes end with it, for none could begin."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for _ in range(self._count):
            self._start()
        beginners, code = set(self._workers), 0
        while self._workers:
            ended = wait(
                [worker.process.sentinel for worker in self._workers], _PAUSE_SECONDS if self._parent else None
            )
            if self._parent and os.getppid() != self._parent:
                self._stop()
            for worker in [worker for worker in self._workers if worker.process.sentinel in ended]:
                worker.process.join()
                if worker in beginners and worker.process.exitcode == BAD_INPUT:
                    code = BAD_INPUT
                    self._stop()
                self._replace(worker)
        return code

    def collect(self) -> Iterable[Metric]:
        """Yields the sums as metrics."""
        return families(self.tallies())

    def tallies(self) -> Tallies:
        """Returns the sums; what a process counted that has died stays in them."""
        with self._lock:
            tallies = self._ended.copy()
            for worker in self._workers:
                tallies.add(worker.tallies())
        return tallies

    def _replace(self, worker: _Worker) -> None:
        with self._lock:
            self._ended.add(worker.tallies())
            self._workers.remove(worker)
        if self._stopping:
            return
        ended = f"process {worker.process.pid}, one of {self._count}, ended with exit code {worker.process.exitcode}"
        log.error("%s: starting another", ended)
        time.sleep(_PAUSE_SECONDS)  # what fails at once must not keep the others from their core
        with self._lock:
            self._start()

    def _start(self) -> None:
        if not self._stopping:
            self._workers.append(_Worker(self._work, self._arguments))
        if self._stopping:  # told meanwhile, when there was nobody yet to be told
            self._stop()

    def _stop(self, *_signal: object) -> None:
        self._stopping = True
        for worker in self._workers:
            worker.process.terminate()
