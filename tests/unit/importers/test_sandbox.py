"""Each attempt runs in a real process that gave up its rights; what the kernel lacks is skipped, never pretended."""

import ctypes
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_server.importers.isolation import isolated
from policy_server.importers.sandbox import environment_without_secrets

MEBIBYTE = 1024 * 1024
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


def attempt(what: str, place: str, stage: Callable[[str], object]) -> str:
    """Returns "done", or the name of the error."""
    try:
        ATTEMPTS[what](place)
    except (OSError, MemoryError, RuntimeError) as error:
        return type(error).__name__
    return "done"


def connect(place: str) -> None:
    host, _, port = place.partition(":")
    socket.create_connection((host, int(port)), timeout=30).close()


def send_datagram(place: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.sendto(b"secret", ("127.0.0.1", 9))


def shell(place: str) -> None:
    if os.system("true"):  # noqa: S605  # what a pickle would do
        raise OSError("refused")


def fork(place: str) -> None:
    if os.fork() == 0:
        os._exit(0)


def read_memory_of_parent(place: str) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


def signal_parent(place: str) -> None:
    os.kill(os.getppid(), 0)


def write_much(place: str) -> None:
    with Path(place).open("wb") as file:
        file.truncate(5 * 1024**3)


def call_x32(place: str) -> None:
    """The other numbers that x86-64 has for the same calls."""
    libc = ctypes.CDLL(None, use_errno=True)
    if platform.machine() == "x86_64" and libc.syscall(0x40000000 + 41, socket.AF_INET, socket.SOCK_STREAM, 0) < 0:
        raise OSError(ctypes.get_errno(), "refused")


ATTEMPTS: dict[str, Callable[[str], object]] = {
    "write": lambda place: Path(place).write_text("x"),
    "append": lambda place: Path(place).open("a").close(),
    "truncate": lambda place: os.truncate(place, 0),
    "remove": lambda place: Path(place).unlink(),
    "rename": lambda place: Path(place).rename(Path(place).with_name("stolen")),
    "link": lambda place: os.link(place, Path(place).with_name("linked")),
    "make folder": lambda place: Path(place).mkdir(),
    "symlink": lambda place: Path(place).symlink_to("/etc"),
    "run a program": lambda place: subprocess.run(["true"], check=True),
    "shell": shell,
    "fork": fork,
    "connect": connect,
    "send a datagram": send_datagram,
    "resolve a name": lambda place: socket.socket(socket.AF_UNIX),
    "read the parent's memory": read_memory_of_parent,
    "signal the parent": signal_parent,
    "write a huge file": write_much,
    "take memory": lambda place: bytearray(1024 * MEBIBYTE),
    "use the other system calls": call_x32,
    "start a thread": lambda place: __import__("threading").Thread(target=int).start(),
}


@pytest.fixture
def sandboxed(tmp_path: Path) -> Callable[..., str]:
    folder = tmp_path / "workspace"
    folder.mkdir()

    def run(what: str, place: Path | str = "") -> str:
        given = {"what": what, "place": str(place)}
        result = isolated(
            attempt, given, folder=folder, seconds=300, stage=lambda name: None, max_memory=512 * MEBIBYTE
        )
        return str(result)

    return run


def in_force(text: str, folder: Path) -> bool:
    program = f"""
from pathlib import Path
from policy_server.importers.sandbox import restrict
print(restrict(Path({str(folder)!r}), max_memory=2**30, max_file=2**30))
"""
    return text in subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def landlock(tmp_path: Path) -> None:
    if not in_force("Landlock", tmp_path):
        pytest.skip("this kernel has no Landlock")


@pytest.fixture
def seccomp(tmp_path: Path) -> None:
    if not in_force("seccomp", tmp_path):
        pytest.skip("this kernel, or whoever started us, refuses filters")


@pytest.mark.usefixtures("landlock")
@pytest.mark.parametrize("what", ["write", "append", "truncate", "remove", "rename", "link"])
def test_files_outside_of_the_workspace_stay_as_they_are(
    sandboxed: Callable[..., str], tmp_path: Path, what: str
) -> None:
    file = tmp_path / "thesis.txt"
    file.write_text("years of work")
    assert sandboxed(what, file) == "PermissionError"
    assert file.read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.txt", "workspace"]


@pytest.mark.usefixtures("landlock")
@pytest.mark.parametrize("what", ["write", "make folder", "symlink"])
def test_nothing_appears_outside_of_the_workspace(sandboxed: Callable[..., str], tmp_path: Path, what: str) -> None:
    assert sandboxed(what, tmp_path / "new") == "PermissionError"
    assert not os.path.lexists(tmp_path / "new")


@pytest.mark.usefixtures("landlock")
def test_a_link_does_not_lead_out_of_the_workspace(sandboxed: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "workspace" / "way-out").symlink_to(tmp_path)
    assert sandboxed("write", tmp_path / "workspace" / "way-out" / "new") == "PermissionError"


@pytest.mark.parametrize("what", ["write", "make folder", "symlink"])
def test_in_its_workspace_it_may_do_all_that(sandboxed: Callable[..., str], tmp_path: Path, what: str) -> None:
    assert sandboxed(what, tmp_path / "workspace" / "new") == "done"


def test_it_may_have_threads(sandboxed: Callable[..., str]) -> None:
    assert sandboxed("start a thread") == "done"


@pytest.mark.usefixtures("seccomp")
@pytest.mark.parametrize(
    "what", ["run a program", "shell", "fork", "send a datagram", "resolve a name", "use the other system calls"]
)
def test_neither_programs_nor_sockets_are_to_be_had(sandboxed: Callable[..., str], what: str) -> None:
    assert sandboxed(what) in ("PermissionError", "OSError")


@pytest.mark.usefixtures("seccomp")
def test_a_server_on_this_machine_cannot_be_reached(sandboxed: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert sandboxed("connect", f"127.0.0.1:{listening.getsockname()[1]}") == "PermissionError"


@pytest.mark.usefixtures("landlock")
@pytest.mark.parametrize("what", ["read the parent's memory", "signal the parent"])
def test_the_process_that_started_it_is_out_of_reach(sandboxed: Callable[..., str], what: str) -> None:
    if what == "signal the parent" and not (in_force("Landlock 6", Path("/")) or in_force("Landlock 7", Path("/"))):
        pytest.skip("this kernel's Landlock knows nothing of signals")
    assert sandboxed(what) == "PermissionError"


def test_memory_and_files_are_bounded(sandboxed: Callable[..., str], tmp_path: Path) -> None:
    assert sandboxed("take memory") == "MemoryError"
    assert sandboxed("write a huge file", tmp_path / "workspace" / "huge") == "OSError"


def test_limits_that_are_already_lower_stay(tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from policy_server.importers.sandbox import restrict
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
restrict(Path({str(tmp_path)!r}), max_memory=2**30, max_file=2**30)
print(resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_CORE))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "(1000, 1000) (0, 0)\n"


def test_an_environment_keeps_no_secret_whatever_its_name(tmp_path: Path) -> None:
    kept = environment_without_secrets({"PATH": "/bin", "PYTHONHASHSEED": "1", "X": "secret"}, tmp_path)
    assert kept["PATH"] == "/bin"
    assert "secret" not in kept.values()
