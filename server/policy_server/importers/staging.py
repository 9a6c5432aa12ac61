"""Folders that appear whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from policy_server.bundle import MANIFEST_FILE
from policy_server.errors import ImportFailed


@contextmanager
def workspace_beside(output: Path) -> Iterator[Path]:
    """Yields an empty folder on the same volume as `output`, so that a rename can publish; it is removed in any case.

    Raises:
        ImportFailed: the folder that holds `output` can't be written to.
    """
    made = not output.parent.exists()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise ImportFailed(f"can't write into {output.parent}: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made and not output.exists():
            with suppress(OSError):  # somebody else may have put something there
                output.parent.rmdir()


def require_replaceable(output: Path) -> None:
    """Raises ImportFailed where `output` holds something that isn't a bundle, which nobody asked to delete."""
    if not output.exists() and not output.is_symlink():
        return
    if output.is_dir() and (not any(output.iterdir()) or (output / MANIFEST_FILE).is_file()):
        return
    raise ImportFailed(f"{output} exists and is no bundle: remove it or name another --output")


def publish(finished: Path, output: Path, workspace: Path) -> None:
    """Renames `finished` to `output`; what was there before is moved into `workspace`, to vanish with it.

    Raises:
        ImportFailed: the rename isn't possible, as where `output` is a mount point.
    """
    try:
        if output.is_dir() and not output.is_symlink() and any(output.iterdir()):
            output.rename(workspace / "replaced")
        finished.replace(output)
    except OSError as error:
        raise ImportFailed(
            f"can't put the result at {output}: {error.strerror}; a mount point can't be replaced, name a folder in it"
        ) from None
