"""Stand-ins for the API server, where a test is about what is asked of it."""

import asyncio
from collections.abc import AsyncIterator
from copy import deepcopy

from policy_operator.cluster import Event, Selection
from policy_operator.cluster_errors import Conflict
from policy_operator.desired.metadata import Object
from policy_operator.kinds import Kind


class FakeLeases:
    """One Lease, written as the API server does: by those who have read its newest version."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.error: Exception | None = None
        self._version = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        self._fail()
        return deepcopy(self.lease)

    async def create(self, new: Object) -> Object:
        self._fail()
        if self.lease is not None:
            raise Conflict("exists")
        return self._write(new)

    async def replace(self, changed: Object) -> Object:
        self._fail()
        if self.lease is None or changed["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("changed meanwhile")
        return self._write(changed)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    def _write(self, new: Object) -> Object:
        self._version += 1
        self.lease = deepcopy(new)
        self.lease["metadata"]["resourceVersion"] = str(self._version)
        return deepcopy(self.lease)


class FakeWatch:
    """Lists and watches of one kind, as a test says them."""

    def __init__(self) -> None:
        self.lists: list[list[Object] | Exception] = []
        self.events: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self.watched_from: list[str] = []

    async def list(self, selection: Selection) -> tuple[list[Object], str]:
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return deepcopy(answer), "100"

    async def watch(self, selection: Selection, version: str) -> AsyncIterator[Event]:
        self.watched_from.append(version)
        while (event := await self.events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
