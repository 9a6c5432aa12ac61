"""Servers under measurement: started on a core of their own, stopped with all that they started."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A man page has it: prctl(2). Processes whose parent is gone become ours, so that none of them is lost.
PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int] | None:
    """Returns the server's core and the load generator's; None where there are no two to pin to."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[-1], allowed[0]) if len(allowed) > 1 else None


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Lets what is started inside run on one core only: children inherit it."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class ServerProcess:
    """A server with all of its processes."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, str], folder: Path, core: int | None) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._others = set(_descendants(os.getpid()))
        self._log = folder / "server.log"
        with self._log.open("wb") as log, pinned(core):
            self._process = subprocess.Popen(
                list(command), cwd=folder, env=dict(settings), stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether the process that was started is gone."""
        return self._process.poll() is not None

    @property
    def last_words(self) -> str:
        """The last line of its log that says something."""
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it said nothing"

    def cpu_seconds(self) -> float:
        """Returns the processor time that all its processes have used."""
        return sum(_cpu_ticks(process) for process in self._tree()) / TICKS

    def stop(self) -> None:
        """Ends all of its processes, by force if they don't end by themselves."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        while left := [*self._tree()]:
            for process in set(left):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                if process != self._process.pid:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(process, os.WNOHANG)
            self._process.poll()
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes {left} of {self._process.args!r} don't end")
            time.sleep(0.02)

    def _tree(self) -> list[int]:
        return [process for process in _descendants(os.getpid()) if process not in self._others]


@dataclass(frozen=True)
class CoreSeconds:
    """How long a core has worked: for programs (other virtual machines' among them), and on interrupts."""

    programs: float = 0.0
    interrupts: float = 0.0


def core_seconds(core: int | None) -> CoreSeconds:
    """Returns how long a core has worked since the machine started; nothing where there is no core to pin to."""
    for line in Path("/proc/stat").read_text().splitlines() if core is not None else []:
        name, *numbers = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, numbers[:8])
            return CoreSeconds((user + nice + system + stolen) / TICKS, (interrupts + soft_interrupts) / TICKS)
    return CoreSeconds()


def _descendants(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, left = [], [ancestor]
    while left:
        left += (more := children.get(left.pop(), []))
        found += more
    return found


def _cpu_ticks(process: int) -> int:
    fields = _stat(process)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _stat(process: int) -> list[str]:
    """Returns a process's state and all that follows it in /proc/PID/stat; nothing where it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
