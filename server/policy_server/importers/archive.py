"""Extraction of zip archives that nobody vouches for."""

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from policy_server.errors import ImportFailed

MAX_MEMBERS = 10_000
MAX_RATIO = 200
"""Extracted bytes for each compressed byte, of members beyond `RATIO_FREE_BYTES`; deflate can reach 1,032."""
RATIO_FREE_BYTES = 1024 * 1024
_CHUNK = 256 * 1024
_ENCRYPTED = 0x1


def is_zip(path: Path) -> bool:
    """Whether the file starts as a zip archive does, whole or not."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def extract(archive: Path, folder: Path, max_bytes: int) -> None:
    """Extracts the whole archive into `folder`, which the caller removes when this raises.

    Args:
        archive: a zip file.
        folder: an empty folder.
        max_bytes: how many bytes all members may have together, counted while they are extracted.

    Raises:
        ImportFailed: the archive is damaged, or holds what a model's archive has no reason to hold.
    """
    with _opened(archive) as opened:
        members = _checked(opened, archive.stat().st_size)
        left = max_bytes
        for name, member in members.items():
            target = folder / name
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                left -= _read_member(opened, member, file.write, left, max_bytes)


def verify(archive: Path, max_bytes: int) -> None:
    """Reads all that the archive holds, as `extract` does, and writes nothing: for what reads archives itself.

    Raises:
        ImportFailed: as of `extract`.
    """
    with _opened(archive) as opened:
        left = max_bytes
        for member in _checked(opened, archive.stat().st_size).values():
            if not member.is_dir():
                left -= _read_member(opened, member, len, left, max_bytes)


def member_names(archive: Path) -> set[str]:
    """Returns the names of the members, as the archive has them.

    Raises:
        ImportFailed: the archive is damaged.
    """
    with _opened(archive) as opened:
        return {info.filename for info in opened.infolist()}


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ImportFailed(f"the zip archive is damaged or truncated ({error}): fetch or make it again") from None
    except NotImplementedError as error:
        raise ImportFailed(f"the zip archive can't be read ({error}): make it with deflate compression") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ImportFailed(f"the zip archive holds {error.filename} as file and as folder: make it again") from None


def _checked(opened: zipfile.ZipFile, archive_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Returns the members by their normalised names, judged by their headers alone."""
    infos = opened.infolist()
    if len(infos) > MAX_MEMBERS:
        raise ImportFailed(f"the zip archive has {len(infos):,} members, {MAX_MEMBERS:,} are allowed: leave logs out")
    if sum(info.compress_size for info in infos) > archive_bytes:
        raise ImportFailed("the zip archive's members overlap, as in a zip bomb: make it again")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = _safe_name(info)
        if name in members:
            raise ImportFailed(f"the zip archive holds {name!r} twice: make it again")
        if name != ".":
            members[name] = info
    return members


def _safe_name(info: zipfile.ZipInfo) -> str:
    shown = repr(info.orig_filename)
    # zipfile cuts at NUL and translates separators in `filename`; what the archive really says is `orig_filename`.
    path = PurePosixPath(info.orig_filename)
    if "\\" in info.orig_filename or "\0" in info.orig_filename or re.match(r"[A-Za-z]:", info.orig_filename):
        raise ImportFailed(f"the zip archive's member {shown} has a backslash, drive or NUL in its name: use / alone")
    if path.is_absolute() or ".." in path.parts:
        raise ImportFailed(f"the zip archive's member {shown} would be written outside of the folder: refused")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "link" if kind == stat.S_IFLNK else "special file"
        raise ImportFailed(f"the zip archive's member {shown} is a {what}: put the file itself into the archive")
    if info.flag_bits & _ENCRYPTED:
        raise ImportFailed(f"the zip archive's member {shown} is encrypted: make the archive without a password")
    return str(path)


def _read_member(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, take: Callable[[bytes], object], left: int, max_bytes: int
) -> int:
    """Gives a member piece by piece to `take` and returns its size; headers may lie, so the bytes are counted."""
    size = 0
    with opened.open(member) as source:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise ImportFailed(
                    f"the zip archive holds more than {max_bytes:,} bytes: raise --max-bytes to allow it"
                )
            if size > RATIO_FREE_BYTES and size > MAX_RATIO * member.compress_size:
                raise ImportFailed(
                    f"the zip archive's member {member.orig_filename!r} grows more than {MAX_RATIO}-fold, as a zip bomb"
                    " does: store it uncompressed if it is a model"
                )
            take(chunk)
    return size
