"""Python environments of programs that can't live in ours: pinned, made when first needed, kept in the user's cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

INSTALL_SECONDS = 1800


class NotAvailable(Exception):
    """Why an environment can't be had here."""


def cache_folder() -> Path:
    """Returns where everything lies that tests keep from run to run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "policyserver"


def environment(
    into: Path, requirements: Path, *, python: str = sys.executable, options: Sequence[str] = (), bytes_needed: int = 0
) -> Path:
    """Returns the Python of an environment that has what `requirements` pins; it is made anew when that changed.

    Args:
        into: the environment's folder.
        requirements: a lock file with hashes.
        python: what the environment is made of.
        options: more options of `uv pip install`.
        bytes_needed: the space on disk below which there is no point in trying.

    Raises:
        NotAvailable: something can't be installed, or there is no space for it.
    """
    ours, made_of = into / "bin" / "python", into / "made-of"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    into.parent.mkdir(parents=True, exist_ok=True)
    with _locked(into.with_name(f".{into.name}.lock")):
        if ours.exists() and made_of.exists() and made_of.read_text() == digest:
            return ours
        shutil.rmtree(into, ignore_errors=True)
        if (free := shutil.disk_usage(into.parent).free) < bytes_needed:
            raise NotAvailable(
                f"{into} needs {bytes_needed / 1e9:.0f} GB and there are {free / 1e9:.0f}:"
                " make space or let XDG_CACHE_HOME name a folder elsewhere"
            )
        print(f"Installing {into.name} into {into} ...", flush=True)
        _run("venv", "--quiet", "--python", python, str(into))
        _run("pip", "install", "--quiet", *options, "--python", str(ours), "--require-hashes", "-r", str(requirements))
        made_of.write_text(digest)
    return ours


def interpreter(oldest: str) -> str:
    """Returns a Python that is old or new enough: this one, or the first on PATH or of pyenv's that runs.

    Raises:
        NotAvailable: there is none.
    """
    wanted = tuple(map(int, oldest.split(".")))
    if sys.version_info[:2] >= wanted:
        return sys.executable
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("*/bin"))
    for minor in range(wanted[1], wanted[1] + 3):
        for folder in folders:
            found = folder / f"python{wanted[0]}.{minor}"
            # pyenv's shims are there for versions that they then refuse to run.
            if found.exists() and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
                return str(found)
    raise NotAvailable(f"needs Python {oldest} or newer; none here")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets one process at a time make an environment; the others wait and find it made."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*arguments: str) -> None:
    command = ["nice", "-n", "10", sys.executable, "-m", "uv", *arguments]
    settings = dict(os.environ) | {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    try:
        subprocess.run(command, env=settings, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise NotAvailable(f"can't be installed: {' '.join(error.stderr.split())[:300]}") from None
    except subprocess.TimeoutExpired:
        raise NotAvailable(f"can't be installed within {INSTALL_SECONDS} s") from None
