"""An environment for each peer, with pinned versions, made when it is first needed and kept in the user's cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
INSTALL_SECONDS = 1200


class NotAvailable(Exception):
    """Why a peer can't be measured here."""


def cache_folder() -> Path:
    """Returns the folder of all environments."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "policyserver" / "bench"


def environment(folder: Path, oldest_python: str) -> Path:
    """Returns the Python of an environment that has what the folder's `requirements.txt` pins.

    Raises:
        NotAvailable: there is no Python for it, or something can't be installed.
    """
    requirements = folder / "requirements.txt"
    into = cache_folder() / folder.name
    python, made_of = into / "bin" / "python", into / "made-of"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if python.exists() and made_of.exists() and made_of.read_text() == digest:
        return python
    print(f"Installing {folder.name} into {into} ...", flush=True)
    shutil.rmtree(into, ignore_errors=True)
    _run("venv", "--quiet", "--python", interpreter(oldest_python), str(into))
    _run("pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(requirements))
    made_of.write_text(digest)
    return python


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


def version(folder: Path, package: str) -> str:
    """Returns the version that a folder's `requirements.txt` pins."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", (folder / "requirements.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""


def _run(*arguments: str) -> None:
    command = ["nice", "-n", "10", sys.executable, "-m", "uv", *arguments]
    settings = dict(os.environ) | {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    try:
        subprocess.run(command, env=settings, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise NotAvailable(f"can't be installed: {' '.join(error.stderr.split())[:300]}") from None
    except subprocess.TimeoutExpired:
        raise NotAvailable(f"can't be installed within {INSTALL_SECONDS} s") from None
