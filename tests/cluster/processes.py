"""Starting processes, and stopping exactly those."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

# The kernel sends the parent-death signal when the *thread* that forked ends, so all processes are
# started by one thread that lives as long as the interpreter.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")

# A Popen that is collected while its process runs complains about it.
_left_running: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Identity:
    """A process that can't be mistaken for a later one with the same pid."""

    pid: int
    started: int
    """Clock ticks after boot, from the kernel."""

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this pid now; None when there is none, or only its zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The second field is the program's name, which may hold spaces and brackets.
        state, *fields = stat.rsplit(") ", 1)[1].split()
        return None if state in "ZX" else cls(pid, int(fields[18]))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def stop(self, grace: float = 10.0) -> None:
        """Asks the process to end, and makes it end when it has not after `grace` seconds."""
        if grace > 0 and self.alive:
            os.kill(self.pid, signal.SIGTERM)
            wait_until(lambda: not self.alive, grace)
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
            wait_until(lambda: not self.alive, 10.0)


def start(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    outlives_us: bool = False,
) -> subprocess.Popen[bytes]:
    """Starts a process that writes to `log`, and that the kernel kills when we die.

    `outlives_us` starts one that goes on without us instead, in a session of its own.
    """
    dies_with_us = sys.platform == "linux" and not outlives_us

    def launch() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                start_new_session=True,
                preexec_fn=_die_with_parent if dies_with_us else None,  # noqa: PLW1509 one call into libc
            )

    process = _starter.submit(launch).result()
    if outlives_us:
        _left_running.append(process)
    return process


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*command: str | Path, stdin: str | None = None) -> str:
    """What a command printed; an error with what it complained about when it failed."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shown = " ".join(str(part) for part in command[:6])
        raise ClusterError(f"{shown} …: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(every)
    return True
