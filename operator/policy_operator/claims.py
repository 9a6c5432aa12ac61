"""Who has which url path. Of several PolicyServers that want one, the oldest has it."""

from dataclasses import dataclass

from policy_operator.workqueue import Key


@dataclass(frozen=True, order=True)
class Claim:
    """A PolicyServer and when it was created; the lesser has the better right."""

    created: str
    key: Key


class UrlPaths:
    """The paths of all PolicyServers that are served."""

    def __init__(self) -> None:
        self._paths: dict[Key, str] = {}
        self._claims: dict[str, dict[Key, Claim]] = {}

    def claim(self, key: Key, path: str, created: str) -> set[Key]:
        """Notes the path that a PolicyServer wants, and returns the others whose right to a path this may change."""
        claim = Claim(created, key)
        if self._claims.get(path, {}).get(key) == claim:
            return set()
        others = self.release(key)
        self._paths[key] = path
        self._claims.setdefault(path, {})[key] = claim
        return others | self._claims[path].keys() - {key}

    def release(self, key: Key) -> set[Key]:
        """Forgets a PolicyServer, and returns those that may have its path now."""
        path = self._paths.pop(key, None)
        if path is None:
            return set()
        del self._claims[path][key]
        if not self._claims[path]:
            del self._claims[path]
        return set(self._claims.get(path, ()))

    def holder(self, path: str) -> Key:
        """Who has a path that somebody wants."""
        return min(self._claims[path].values()).key

    def known(self) -> set[Key]:
        """All that want a path."""
        return set(self._paths)
