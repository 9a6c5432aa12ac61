"""Reads decision logs: plain or compressed files, in any order, among lines of other kinds."""

import gzip
import io
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from tqdm import tqdm

from policy_server.evaluation.errors import EvaluationRefused
from policy_server.evaluation.lines import Decision, Feedback, Lost, document, record

STANDARD_INPUT = "-"
_COUNTED = {"learned", "kept", "frozen"}
"""Outcomes of rewards that are new and came in time; with others, the router learned nothing from them either."""
_GZIP = b"\x1f\x8b"


@dataclass
class Journal:
    """All that some logs say.

    Attributes:
        decisions: each once, in the order of their times.
        rewards: each once, in the order of their times.
        counts: of lines, by what they were.
        damage: of the first damaged line: where, and why.
    """

    decisions: list[Decision] = field(default_factory=list)
    rewards: list[Feedback] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    damage: str = ""

    @property
    def end(self) -> float:
        """The time of the last line, in seconds since 1970."""
        return max([lines[-1].time for lines in (self.decisions, self.rewards) if lines], default=0.0)

    def of(self, policyserver: str | None) -> "Journal":
        """Returns the lines of one PolicyServer; the only one, if None.

        Raises:
            EvaluationRefused: there is no decision of it, or there are several PolicyServers and none was named.
        """
        names = sorted({decision.policyserver for decision in self.decisions})
        if not names:
            damaged = f"; the first damaged line is {self.damage}" if self.damage else ""
            raise EvaluationRefused(
                f"there is no decision in {self.counts.total():,} lines: set router.decisionLog in the PolicyServer,"
                f" and give the log of its pods{damaged}"
            )
        if policyserver not in (names if len(names) > 1 else [*names, None]):
            raise EvaluationRefused(f"the decisions are of {', '.join(names)}: name one of them with --policyserver")
        wanted = policyserver or names[0]
        decisions = [each for each in self.decisions if each.policyserver == wanted]
        rewards = [each for each in self.rewards if each.policyserver == wanted]
        return Journal(decisions, rewards, self.counts, self.damage)


def read(paths: Iterable[str]) -> Journal:
    """Reads files; `-` is the standard input.

    Lines that come twice count once, as log shippers repeat some and rotated files overlap.

    Raises:
        EvaluationRefused: a file can't be read.
    """
    journal = Journal()
    seen: set[int] = set()
    for place, line in _lines(list(paths)):
        text = document(line)
        try:
            found = record(text)
        except ValueError as error:
            journal.counts["damaged"] += 1
            journal.damage = journal.damage or f"{place}: {_first(error)}"
            continue
        if found is None:
            journal.counts["of other kinds"] += 1
            continue
        if (known := hash(text)) in seen:
            journal.counts["repeated"] += 1
            continue
        seen.add(known)
        match found:
            case Decision():
                journal.counts["decisions"] += 1
                journal.decisions.append(found)
            case Feedback() if found.outcome in _COUNTED:
                journal.counts["rewards"] += 1
                journal.rewards.append(found)
            case Feedback():
                journal.counts["rewards that the router didn't count"] += 1
            case Lost():
                journal.counts["lost by servers"] += found.lines
    journal.decisions.sort(key=lambda decision: decision.time)
    journal.rewards.sort(key=lambda reward: reward.time)
    return journal


def _lines(paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yields where each line is, and the line; shows how far it is where that takes more than a second."""
    try:
        sizes = [Path(path).stat().st_size for path in paths if path != STANDARD_INPUT]
        total = sum(sizes) if STANDARD_INPUT not in paths else None
        bar = tqdm(desc="read", total=total, unit="B", unit_scale=True, leave=False, delay=1, file=sys.stderr,
                   disable=not sys.stderr.isatty())  # fmt: skip
        with bar:
            for path in paths:
                with sys.stdin.buffer if path == STANDARD_INPUT else Path(path).open("rb") as raw:
                    yield from _lines_of(raw, path, bar)
    except OSError as error:
        raise EvaluationRefused(f"{error.filename}: {error.strerror}") from None


def _lines_of(raw: BinaryIO, path: str, bar: "tqdm[NoReturn]") -> Iterator[tuple[str, bytes]]:
    counted = io.BufferedReader(_Counted(raw, bar), 1 << 20)
    compressed = counted.peek(2)[:2] == _GZIP
    lines = gzip.GzipFile(fileobj=counted) if compressed else counted
    try:
        for number, line in enumerate(lines, 1):
            yield f"{path}, line {number}", line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EvaluationRefused(f"{path}: {error}: give the file once it is complete") from None


class _Counted(io.RawIOBase):
    """Tells the bar what is read."""

    def __init__(self, raw: BinaryIO, bar: "tqdm[NoReturn]") -> None:
        self._raw = raw
        self._bar = bar

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer will do
        read = self._raw.read(len(buffer))
        buffer[: len(read)] = read
        self._bar.update(len(read))
        return len(read)


def _first(error: ValueError) -> str:
    """Returns what is wrong in one line, without what was written: pydantic would repeat observations."""
    found = getattr(error, "errors", None)
    if found is None:
        return str(error)
    first = found(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": ")
