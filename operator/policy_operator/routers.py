"""What running routers say of themselves: the one place that talks to pods."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import aiohttp
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from policy_operator.api_status import OpenModel
from policy_operator.desired.metadata import Object
from policy_operator.desired.pod import METRICS_PORT
from policy_operator.errors import PolicyOperatorError
from policy_operator.ray_rollout import is_head
from policy_operator.rollout import is_ready, version_of
from policy_operator.workqueue import Key
from policy_server.config import first_problem

log = logging.getLogger(__name__)

PAUSE_SECONDS = 60.0
SETTLED_SECONDS = 5.0
"""Within this time a router follows new settings."""
_LIMITS = aiohttp.ClientTimeout(total=2)
_LARGEST = 1024 * 1024
_MOST_DOUBLINGS = 4

Count = Annotated[int, Field(ge=0)]


class ArmReport(OpenModel):
    """One policy as its router has it."""

    name: Annotated[str, Field(max_length=253)]
    state: Literal["Available", "Out", "NotLoaded"]
    detail: str | None = None
    """Why it isn't available."""
    weight: FiniteFloat | None = None
    """Its part of the traffic, from 0 to 1."""
    decisions: Count
    mean_reward: FiniteFloat | None = None


class RouterReport(OpenModel):
    """What one router says; a part of what `/routers` answers."""

    name: str
    """That of its PolicyServer."""
    mode: Annotated[str, Field(max_length=32)]
    store_away: str | None = None
    """Why its store can't be used, if it can't."""
    arms: Annotated[list[ArmReport], Field(max_length=64)]
    snapshot: str | None = None
    """What it has learned, where its next store may be another one."""


_REPORTS = TypeAdapter(list[RouterReport])


class NoReport(PolicyOperatorError):
    """A pod doesn't say how its router is."""


@dataclass
class _Acquaintance:
    """What is known of one router."""

    due: float = 0.0
    failures: int = 0
    report: RouterReport | None = None


class Routers:
    """Asks each router once a minute at most, and remembers what it said.

    Args:
        now: returns the seconds of a clock that is never set.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[Key, _Acquaintance] = {}

    def report(self, key: Key) -> RouterReport | None:
        """What the router of a PolicyServer said last."""
        return known.report if (known := self._known.get(key)) else None

    async def ask(self, key: Key, pod: Object | None) -> RouterReport | None:
        """What the router says now; None where its time hasn't come, or it doesn't answer, which changes nothing."""
        known = self._known.setdefault(key, _Acquaintance())
        if pod is None or self._now() < known.due:
            return None
        try:
            known.report = await _read(_address(pod), key[1])
        except NoReport as error:
            known.failures += 1
            level = logging.WARNING if known.failures == 1 else logging.DEBUG
            log.log(level, "PolicyServer %s/%s: pod %s: %s", *key, pod["metadata"]["name"], error)
            # Where none can be reached, they mustn't keep us from all else.
            known.due = self._now() + PAUSE_SECONDS * 2 ** min(known.failures, _MOST_DOUBLINGS)
            return None
        known.failures, known.due = 0, self._now() + PAUSE_SECONDS
        return known.report

    def expect_change(self, key: Key) -> None:
        """Has the router asked when it has taken up new settings."""
        known = self._known.setdefault(key, _Acquaintance())
        now = self._now()
        if not now < known.due <= now + SETTLED_SECONDS:
            known.due = now + SETTLED_SECONDS

    def seconds_left(self, key: Key) -> float:
        """How long until the router should be asked again."""
        known = self._known.get(key)
        left = known.due - self._now() if known else 0.0
        return left if left > 0 else PAUSE_SECONDS  # one that is due has no pod to ask, whose coming will be seen

    def forget(self, key: Key) -> None:
        """Knows nothing of it any more."""
        self._known.pop(key, None)


def pod_to_ask(pods: Iterable[Object], template: Object) -> Object | None:
    """The oldest pod that serves: of the current version, or of a former one as long as none of the current does."""

    def order(pod: Object) -> tuple[bool, str, str]:
        metadata = pod["metadata"]
        return version_of(pod) != current, metadata.get("creationTimestamp", ""), metadata["name"]

    current = version_of(template)
    serving = (
        pod
        for pod in pods
        if is_ready(pod) and not is_head(pod) and _address(pod) and "deletionTimestamp" not in pod["metadata"]
    )
    return min(serving, key=order, default=None)


def _address(pod: Object) -> str:
    address: str = pod.get("status", {}).get("podIP", "")
    return address


async def _read(address: str, server: str) -> RouterReport:
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{METRICS_PORT}/routers"
    body = b""
    try:
        async with (
            aiohttp.ClientSession(timeout=_LIMITS, raise_for_status=True) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            async for chunk in response.content.iter_chunked(65_536):
                body += chunk
                if len(body) > _LARGEST:
                    raise NoReport(f"{url} answers with more than {_LARGEST} bytes")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NoReport(f"no answer of {url}: {str(error) or type(error).__name__}") from None
    try:
        reports = _REPORTS.validate_json(body)
    except ValidationError as error:
        raise NoReport(f"the answer of {url} can't be read: {first_problem(error)}") from None
    for report in reports:
        if report.name == server:
            return report
    raise NoReport(f"{url} says nothing of this PolicyServer's router")
