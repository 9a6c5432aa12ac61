"""Who has which url path. Of several PolicyServers that want one, or one below another's, the oldest has it."""

from collections.abc import Iterator
from dataclasses import dataclass

from policy_operator.workqueue import Key


@dataclass(frozen=True, order=True)
class Claim:
    """A PolicyServer, when it was created and the path it wants; the lesser has the better right."""

    created: str
    key: Key
    path: str


class UrlPaths:
    """The paths of all PolicyServers that are served.

    An Ingress routes a path and all below it, so two claims are rivals where one path is the other or leads to it. One
    that waits still goes before those that are younger: else it would take from them, once its turn comes, what their
    clients have come to rely on.
    """

    def __init__(self) -> None:
        self._claims: dict[Key, Claim] = {}
        self._at: dict[str, set[Claim]] = {}
        self._below: dict[str, set[Claim]] = {}

    def claim(self, key: Key, path: str, created: str) -> set[Key]:
        """Notes the path that a PolicyServer wants, and returns the others whose right to a path this may change."""
        claim = Claim(created, key, path)
        if self._claims.get(key) == claim:
            return set()
        others = self.release(key)
        others |= {rival.key for rival in self._rivals(path)}
        self._claims[key] = claim
        self._at.setdefault(path, set()).add(claim)
        for parent in _parents(path):
            self._below.setdefault(parent, set()).add(claim)
        return others

    def release(self, key: Key) -> set[Key]:
        """Forgets a PolicyServer, and returns those that may have its path now."""
        claim = self._claims.pop(key, None)
        if claim is None:
            return set()
        _discard(self._at, claim.path, claim)
        for parent in _parents(claim.path):
            _discard(self._below, parent, claim)
        return {rival.key for rival in self._rivals(claim.path)}

    def holder(self, path: str) -> Claim:
        """Who has a path that somebody wants, by a claim to it or to one above or below it."""
        return min(self._rivals(path))

    def known(self) -> set[Key]:
        """All that want a path."""
        return set(self._claims)

    def _rivals(self, path: str) -> Iterator[Claim]:
        for place in (path, *_parents(path)):
            yield from self._at.get(place, ())
        yield from self._below.get(path, ())


def _parents(path: str) -> list[str]:
    """The paths that lead to one, without itself: a and a/b of a/b/c."""
    return [path[:end] for end, character in enumerate(path) if character == "/"]


def _discard(claims: dict[str, set[Claim]], path: str, claim: Claim) -> None:
    claims[path].discard(claim)
    if not claims[path]:
        del claims[path]
