import os
import signal
import threading
from collections.abc import Callable

import pytest

from policy_server.errors import ImportFailed, SchemaMismatch
from policy_server.importers.isolation import isolated


def answer(what: str, stage: Callable[[str], object]) -> str:
    stage("thinking")
    match what:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(7)
        case "hang":
            threading.Event().wait()
        case "known":
            raise SchemaMismatch("7 and 8")
        case "unknown":
            raise KeyError("tensor")
        case "noise":
            os.write(1, b"noise")
            os.write(2, b"noise")
    return what


def ask(what: str, seconds: float = 300) -> tuple[str, list[str]]:
    stages: list[str] = []
    return isolated(answer, {"what": what}, seconds=seconds, stage=stages.append), stages


def test_a_result_and_its_stages_come_back() -> None:
    assert ask("fine") == ("fine", ["thinking"])


@pytest.mark.parametrize(
    ("what", "error", "expected"),
    [
        ("crash", ImportFailed, r"killed by SIGSEGV \(at: thinking\)"),
        ("exit", ImportFailed, "exit code 7"),
        ("known", SchemaMismatch, "7 and 8"),
        ("unknown", ImportFailed, "KeyError: 'tensor'"),
    ],
)
def test_whatever_happens_becomes_one_of_our_errors(what: str, error: type[Exception], expected: str) -> None:
    with pytest.raises(error, match=expected):
        ask(what)


def test_what_hangs_is_killed() -> None:
    with pytest.raises(ImportFailed, match=r"took more than 0.1 s.*--timeout"):
        ask("hang", seconds=0.1)


def test_what_frameworks_print_is_not_heard(capfd: pytest.CaptureFixture[str]) -> None:
    ask("noise")
    assert capfd.readouterr() == ("", "")
