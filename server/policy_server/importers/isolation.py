"""Runs one function in a process of its own: frameworks crash, hang and take all memory on files they don't expect."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from policy_server.errors import ImportFailed, PolicyServerError
from policy_server.importers.uri import redacted_text

T = TypeVar("T")
_BAD_INPUT_IS_LIKELY = "the model file is damaged, or made for another version of its framework"


def isolated(
    work: Callable[..., T],
    arguments: dict[str, Any],
    *,
    seconds: float,
    stage: Callable[[str], object],
    verbose: bool = False,
) -> T:
    """Returns `work(**arguments, stage=…)`, run in a new process that is killed after `seconds`.

    Args:
        work: a module's function, so that the new process can find it.
        arguments: what it takes; anything that pickles.
        seconds: the wall clock limit.
        stage: is told each stage the work reports.
        verbose: lets the frameworks' logs and tracebacks through to stderr.

    Raises:
        ImportFailed: the process crashed or took too long.
        PolicyServerError: what the work raised; anything else it raised has become an ImportFailed.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, work, arguments, verbose), daemon=True)
    process.start()
    sender.close()
    deadline = time.monotonic() + seconds
    last = "start"
    try:
        while receiver.poll(max(0.0, deadline - time.monotonic())):
            kind, value = receiver.recv()
            if kind == "stage":
                last = value
                stage(value)
            elif kind == "result":
                result: T = value
                return result
            else:
                raise value
        raise ImportFailed(
            f"converting took more than {seconds:g} s (at: {last}): raise --timeout or look at the model"
        )
    except EOFError:
        process.join()
        raise ImportFailed(f"the converter {_death(process.exitcode)} (at: {last}): {_BAD_INPUT_IS_LIKELY}") from None
    finally:
        process.kill()
        process.join()
        receiver.close()


def _answer(sender: Connection, work: Callable[..., Any], arguments: dict[str, Any], verbose: bool) -> None:
    """The new process: everything it has to say goes through the pipe."""
    # Frameworks write to the file descriptors themselves, past Python's sys.stderr; and stdout is the result's alone.
    os.dup2(2 if verbose else os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    try:
        result = work(**arguments, stage=lambda name: sender.send(("stage", name)))
    except PolicyServerError as error:
        _show(error, verbose)
        sender.send(("failed", error))
    except MemoryError:
        sender.send(("failed", ImportFailed("converting needs more memory than there is: give it more")))
    except Exception as error:  # noqa: BLE001  # frameworks raise anything; whoever waits gets one line
        _show(error, verbose)
        sender.send(("failed", ImportFailed(f"{_BAD_INPUT_IS_LIKELY} ({type(error).__name__}: {error})")))
    else:
        sender.send(("result", result))


def _show(error: Exception, verbose: bool) -> None:
    if verbose:
        sys.stderr.write(redacted_text("".join(traceback.format_exception(error))))
        sys.stderr.flush()


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        hint = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{hint}"
    return f"ended with exit code {code}"
