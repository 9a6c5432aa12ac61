"""The SHA-256 digest of what was fetched, be it a file or a folder."""

import hashlib
import os
import stat
from pathlib import Path

from policy_server.errors import ImportFailed


def regular_files(folder: Path) -> list[tuple[str, Path]]:
    """Returns the files below `folder` with their relative names (with `/`), sorted by name.

    Raises:
        ImportFailed: there is a link or a special file: what it leads to isn't part of the folder.
        OSError: there is a folder that can't be read.
    """

    def fail(error: OSError) -> None:
        raise error  # what can't be read must not be left out in silence

    found: list[tuple[str, Path]] = []
    for parent, folders, files in os.walk(folder, onerror=fail):
        for name in folders + files:
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                kind = "link" if stat.S_ISLNK(mode) else "special file"
                raise ImportFailed(f"{path} is a {kind}: put plain files into {folder}")
            if stat.S_ISREG(mode):
                found.append((path.relative_to(folder).as_posix(), path))
    return sorted(found)


def sha256_of(path: Path) -> str:
    """Returns the digest of a file's contents, or of all names and contents of a folder.

    A folder's digest is over the lines `<sha256 of the contents>  <length of the name in bytes> <relative name>`,
    sorted by name; empty folders, times and permissions don't count.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = hashlib.sha256()
    for name, file_path in regular_files(path):
        encoded = name.encode("utf-8", "surrogateescape")
        lines.update(f"{sha256_of(file_path)}  {len(encoded)} ".encode() + encoded + b"\n")
    return lines.hexdigest()


def bytes_of(path: Path) -> int:
    """Returns the size in bytes of a file, or of all files of a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for _, file in regular_files(path))
