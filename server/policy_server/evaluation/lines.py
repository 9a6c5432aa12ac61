"""The lines of a decision log."""

import re
from typing import Annotated

from pydantic import Field, FiniteFloat, TypeAdapter
from pydantic.dataclasses import dataclass

Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(slots=True, frozen=True)
class Decision:
    """One answer; times are seconds since 1970.

    Attributes:
        time: when it was given.
        policyserver: by which PolicyServer.
        policy: by which of its policies.
        decision_id: its id; the rows of one request share it.
        episode_id: that of its episode; the decision's own where it is the first of one, or alone.
        observation: what was asked.
        actions: what was answered.
        propensities: what each policy's probability of being drawn was; None: policies weren't drawn.
        propensity: the one that the policy was drawn with, for its whole episode; None as above.
        probability: how likely the actions were under the policy; None: it can't tell.
        mode: how the router chose.
        fallback: whether the policy answered in the place of another, that couldn't.
        moved: whether the episode had to leave its policy.
    """

    time: FiniteFloat
    policyserver: str
    policy: str
    decision_id: str
    episode_id: str
    observation: list[FiniteFloat]
    actions: list[int | float]
    propensities: dict[str, Probability] | None
    propensity: Annotated[float, Field(gt=0, le=1)] | None
    probability: FiniteFloat | None = None
    mode: str = ""
    fallback: bool = False
    moved: bool = False


@dataclass(slots=True, frozen=True)
class Feedback:
    """One reward; the decision's id or the episode's is given.

    Attributes:
        outcome: what the router made of it.
        done: whether the episode is over.
    """

    time: FiniteFloat
    policyserver: str
    reward: FiniteFloat
    outcome: str
    decision_id: str | None = None
    episode_id: str | None = None
    done: bool = False

    @property
    def of(self) -> str | None:
        """The id that it was sent with."""
        return self.decision_id or self.episode_id


@dataclass(slots=True, frozen=True)
class Lost:
    """How many lines a server couldn't write in time."""

    policyserver: str
    lines: int


Record = Decision | Feedback | Lost
_KIND = re.compile(rb'"type"\s*:\s*"(decision|feedback|lost)"')
_READERS: dict[bytes, TypeAdapter[Decision] | TypeAdapter[Feedback] | TypeAdapter[Lost]] = {
    b"decision": TypeAdapter(Decision),
    b"feedback": TypeAdapter(Feedback),
    b"lost": TypeAdapter(Lost),
}


def document(line: bytes) -> bytes:
    """Returns the JSON of a line, without what stands before the first brace, such as a pod's name or a time."""
    return line[line.find(b"{") :].strip()


def record(text: bytes) -> Record | None:
    """Returns what a line's JSON says; None: it is of something else.

    Raises:
        ValueError: it should be a record, and is damaged.
    """
    kind = _KIND.search(text)
    return _READERS[kind[1]].validate_json(text) if kind else None
