import json
import os
import pickle
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from policy_server.errors import ImportFailed, SchemaMismatch
from policy_server.importers.isolation import isolated

Ask = Callable[..., tuple[str, list[str]]]


def answer(what: str, stage: Callable[[str], object]) -> object:
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
        case "deep":
            return json.loads("[" * 100_000)
        case "memory":
            return len(bytearray(2 * 1024**3))
        case "noise":
            os.write(1, b"noise")
            os.write(2, b"noise")
        case "environment":
            return dict(os.environ) | {"began with": Path("/proc/self/environ").read_text()}
    return what


class Evil:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.putenv, ("POLICYSERVER_TEST", "run")


def speak_pickle(stage: Callable[[str], object]) -> None:
    """What a model's code in the process may do: it finds the pipe and speaks to whoever waits at its other end."""
    pipe: Connection = stage.__closure__[0].cell_contents.__closure__[0].cell_contents  # type: ignore[index]  # it has
    pipe.send_bytes(pickle.dumps(Evil()))


def speak_at_length(stage: Callable[[str], object]) -> None:
    stage("x" * 2_000_000)


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def run(what: str, seconds: float = 300, *, verbose: bool = False) -> tuple[str, list[str]]:
        stages: list[str] = []
        result = isolated(
            answer,
            {"what": what},
            folder=tmp_path,
            seconds=seconds,
            stage=stages.append,
            max_memory=1024**3,
            verbose=verbose,
        )
        return result, stages

    return run


def test_a_result_and_its_stages_come_back(ask: Ask) -> None:
    assert ask("fine") == ("fine", ["thinking"])


@pytest.mark.parametrize(
    ("what", "error", "expected"),
    [
        ("crash", ImportFailed, r"killed by SIGSEGV \(at: thinking\)"),
        ("exit", ImportFailed, "exit code 7"),
        ("known", SchemaMismatch, "7 and 8"),
        ("unknown", ImportFailed, "KeyError: 'tensor'"),
        ("deep", ImportFailed, "nested too deeply"),
        ("memory", ImportFailed, "needs more memory.*--max-memory"),
    ],
)
def test_whatever_happens_becomes_one_of_our_errors(ask: Ask, what: str, error: type[Exception], expected: str) -> None:
    with pytest.raises(error, match=expected):
        ask(what)


def test_what_hangs_is_killed(ask: Ask) -> None:
    with pytest.raises(ImportFailed, match=r"took more than 0.1 s.*--timeout"):
        ask("hang", seconds=0.1)


def test_what_frameworks_print_is_not_heard(ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    ask("noise")
    assert capfd.readouterr() == ("", "")


def test_the_process_is_told_no_secrets(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = {"AWS_SECRET_ACCESS_KEY": "a", "HF_TOKEN": "b", "MY_PASSWORD": "c", "https_proxy": "http://u:p@proxy"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    environment, _ = ask("environment")
    assert not secrets.keys() & environment.keys()  # type: ignore[attr-defined]  # this work returns a mapping
    assert not any(name in environment["began with"] for name in secrets)  # type: ignore[index]  # as above
    assert environment["LC_ALL"] == "C.UTF-8"  # type: ignore[index]  # as above
    assert environment["HOME"] == str(tmp_path / "temporary")  # type: ignore[index]  # as above
    assert os.environ["HF_TOKEN"] == "b"


@pytest.mark.parametrize("work", [speak_pickle, speak_at_length])
def test_what_the_process_says_is_never_run(tmp_path: Path, work: Callable[..., object]) -> None:
    with pytest.raises(ImportFailed, match="the converter"):
        isolated(work, {}, folder=tmp_path, seconds=300, stage=lambda name: None)
    assert "POLICYSERVER_TEST" not in os.environ


def test_verbose_says_what_the_process_gave_up(ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    ask("fine", verbose=True)
    assert "the converter may: at most 1,073,741,824 bytes of memory" in capfd.readouterr().err
