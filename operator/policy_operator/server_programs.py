"""Runs programs of the server package, each in a process of its own: a crash or a hang takes nobody with it."""

import subprocess
import sys

from policy_operator.errors import ProcessFailed


def run_program(module: str, *arguments: str, stdin: str | None = None, captured: bool = True) -> str:
    """Returns what a program printed, unless that goes where ours goes; what it says on standard error always does.

    Args:
        module: of `policy_server`.
        arguments: the program's.
        stdin: what it reads; without it, what we would.
        captured: whether it prints for us.

    Raises:
        ProcessFailed: it ended with an error, which it has told already.
    """
    command = [sys.executable, "-m", f"policy_server.{module}", *arguments]
    output = subprocess.PIPE if captured else None
    done = subprocess.run(command, input=stdin, stdout=output, text=True, check=False)
    if done.returncode:
        raise ProcessFailed(done.returncode)
    return done.stdout or ""
