"""Runs one function in a process of its own: frameworks crash, hang and take all memory on files they don't expect.

That process is not believed either: it may run the code of a model. It gives up its rights first (see `sandbox`), is
told nothing secret, and what it answers is read as JSON.
"""

import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from policy_server.errors import BundleError, ImportFailed, PolicyServerError, SchemaMismatch
from policy_server.importers.sandbox import environment_without_secrets, restrict
from policy_server.importers.uri import redacted_text

DEFAULT_MAX_MEMORY = 4 * 1024**3
MAX_FILE = 4 * 1024**3
"""Bytes of one file that is written; archives are held to `--max-bytes` besides."""
_BAD_INPUT_IS_LIKELY = "the model file is damaged, or made for another version of its framework"
_ERRORS: dict[str, type[PolicyServerError]] = {one.__name__: one for one in (BundleError, ImportFailed, SchemaMismatch)}
_LONGEST_MESSAGE = 1024 * 1024
_NO_MEMORY = "converting needs more memory than it may take: raise --max-memory, or the memory limit of the container"


def isolated(
    work: Callable[..., Any],
    arguments: dict[str, Any],
    *,
    folder: Path,
    seconds: float,
    stage: Callable[[str], object],
    max_memory: int = DEFAULT_MAX_MEMORY,
    verbose: bool = False,
) -> Any:
    """Returns `work(**arguments, stage=…)`, run in a new process that is killed after `seconds`.

    Args:
        work: a module's function, so that the new process can find it; what it returns is made of JSON's types.
        arguments: what it takes; anything that pickles.
        folder: the only one in which it can write; what it leaves in `temporary` there is nobody's.
        seconds: the wall clock limit.
        stage: is told each stage the work reports.
        max_memory: bytes that it may allocate.
        verbose: lets the frameworks' logs and tracebacks through to stderr, and says what the process gave up.

    Raises:
        ImportFailed: the process crashed or took too long.
        PolicyServerError: what the work raised; anything else it raised has become an ImportFailed.
    """
    folder = folder.absolute()
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    # Pickled here, so that the modules it needs are loaded after the process gave up its rights, not before.
    task = pickle.dumps((work, arguments))
    process = context.Process(target=_answer, args=(sender, task, folder, max_memory, verbose), daemon=True)
    with _environment(environment_without_secrets(os.environ, temporary)):
        process.start()
    sender.close()
    deadline = time.monotonic() + seconds
    killer = threading.Timer(seconds, process.kill)
    killer.start()
    last = "start"
    try:
        while True:
            kind, value = json.loads(receiver.recv_bytes(_LONGEST_MESSAGE))
            if kind == "stage":
                last = str(value)
                stage(last)
            elif kind == "result":
                return value
            else:
                raise _ERRORS.get(kind, ImportFailed)(str(value))
    except (EOFError, OSError, ValueError, RecursionError):  # its end, or words that are none of ours
        process.join(0.0 if time.monotonic() >= deadline else 10.0)
        if time.monotonic() >= deadline:
            raise ImportFailed(
                f"converting took more than {seconds:g} s (at: {last}): raise --timeout or look at the model"
            ) from None
        raise ImportFailed(f"the converter {_death(process.exitcode)} (at: {last}): {_BAD_INPUT_IS_LIKELY}") from None
    finally:
        killer.cancel()
        _kill(process.pid)
        process.kill()
        process.join()
        receiver.close()


def _answer(sender: Connection, task: bytes, folder: Path, max_memory: int, verbose: bool) -> None:
    """The new process: everything it has to say goes through the pipe."""
    os.setsid()  # whatever it starts ends with it
    # Frameworks write to the file descriptors themselves, past Python's sys.stderr; and stdout is the result's alone.
    os.dup2(2 if verbose else os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)

    def say(kind: str, value: Any) -> None:
        sender.send_bytes(json.dumps([kind, value]).encode())

    try:
        in_force = restrict(folder, max_memory=max_memory, max_file=MAX_FILE)
        if verbose:
            print(f"the converter may: {'; '.join(in_force)}", file=sys.stderr, flush=True)
        work, arguments = pickle.loads(task)  # noqa: S301  # made by the process that started this one
        result = work(**arguments, stage=lambda name: say("stage", name))
        say("result", result)
    except PolicyServerError as error:
        _show(error, verbose)
        say(type(error).__name__, str(error))
    except MemoryError:
        say("ImportFailed", _NO_MEMORY)
    except RecursionError as error:
        _show(error, verbose)
        say("ImportFailed", "the model file is nested too deeply: it is damaged or no model")
    except Exception as error:  # noqa: BLE001  # frameworks raise anything; whoever waits gets one line
        _show(error, verbose)
        say("ImportFailed", f"{_BAD_INPUT_IS_LIKELY} ({type(error).__name__}: {error})")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Starts processes with these variables alone: what a process has begun with, it can always read."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _kill(leader: int | None) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has ended, or not yet begun a session
        if leader is not None:
            os.killpg(leader, signal.SIGKILL)


def _show(error: Exception, verbose: bool) -> None:
    if verbose:
        sys.stderr.write(redacted_text("".join(traceback.format_exception(error))))
        sys.stderr.flush()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        hint = ", perhaps for want of memory" if -code in (signal.SIGKILL, signal.SIGABRT) else ""
        return f"was killed by {signal.Signals(-code).name}{hint}"
    return f"ended with exit code {code}"
