"""What hostile model files are: none of them may run, write elsewhere or fill the memory.

They are made anew for each test, in `archives` and `models`.
"""

import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1024 * 1024
Make = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Hostile:
    """One case: `make(source, canary)` writes a file or folder that would make the canary if any of it ran."""

    name: str
    make: Make
    expected: str
    """A pattern of the one line that says what is wrong, and the remedy."""
    options: tuple[str, ...] = ()
    megabytes: int = 400
    """The most memory that any process may take; frameworks need their own."""


CASES: list[Hostile] = []


def case(expected: str, *options: str, megabytes: int = 400) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        name = make.__name__.replace("_", " ")
        CASES.append(Hostile(name, make, expected, options, megabytes))
        return make

    return add


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = str(canary)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        import os  # noqa: PLC0415  # pickled by its name

        return os.mkdir, (self._canary,)


def evil_pickle(canary: Path) -> bytes:
    return pickle.dumps(Evil(canary))


def zip_of(members: dict[str, bytes], mode: int = 0, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as opened:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, compression
            opened.writestr(info, content)
    return buffer.getvalue()
