"""The policies under a router, as far as they could be loaded."""

import logging
from collections.abc import Sequence

from policy_server.bundle import MultiCategorical
from policy_server.config import PolicyConfig, ServerConfig
from policy_server.engine import Engine, LoadEngine
from policy_server.errors import PolicyServerError, SchemaMismatch

log = logging.getLogger(__name__)

_SHORTEST_BREAK, _LONGEST_BREAK = 1.0, 60.0
"""Seconds until one that couldn't be loaded is tried again; doubled each time."""


class Policies:
    """Loads policies, each as well as it can; all must observe and do the same kind of thing.

    Attributes:
        common: the first one that was loaded, to which the others are compared.
        loaded: the others too, shadows among them, in the order of the configuration.
        troubles: why others aren't.
    """

    def __init__(self, config: ServerConfig, now: float, load: LoadEngine = Engine.load) -> None:
        """Loads what can be loaded.

        Raises:
            PolicyServerError: none that may answer can be.
        """
        self._config = config
        self._load_engine = load
        self._shadow_names = {policy.name for policy in config.policies if policy.shadow}
        self.troubles: dict[str, str] = {}
        self._engines: dict[str, Engine] = {}
        self._retries: dict[str, tuple[float, float]] = {}
        self.common: Engine
        first: PolicyServerError | None = None
        # Those that may answer come first: shadows are compared with them.
        for policy in sorted(config.policies, key=lambda policy: policy.shadow):
            try:
                self._load(policy)
            except PolicyServerError as error:
                first = first or error
                self._note(policy.name, error, now)
        if not self.answering:
            raise first or AssertionError("the configuration has a policy that may answer")

    @property
    def loaded(self) -> Sequence[Engine]:
        """All that are loaded."""
        return [self._engines[policy.name] for policy in self._config.policies if policy.name in self._engines]

    @property
    def answering(self) -> Sequence[Engine]:
        """Those that may be chosen."""
        return [engine for engine in self.loaded if engine.name not in self._shadow_names]

    @property
    def shadows(self) -> Sequence[Engine]:
        """Those that are only compared."""
        return [engine for engine in self.loaded if engine.name in self._shadow_names]

    @property
    def warnings(self) -> Sequence[str]:
        """Where models overruled the schema."""
        return [f"policy {engine.name}: {warning}" for engine in self.loaded for warning in engine.warnings]

    def retry(self, now: float) -> bool:
        """Tries those again whose time has come; returns whether one more is loaded. It may take seconds."""
        before = len(self._engines)
        for policy in self._config.policies:
            if policy.name in self.troubles and now >= self._retries[policy.name][0]:
                try:
                    self._load(policy)
                except PolicyServerError as error:
                    self._note(policy.name, error, now)
                else:
                    del self.troubles[policy.name], self._retries[policy.name]
                    log.info("%s: policy %s is loaded now", self._config.name, policy.name)
        return len(self._engines) > before

    def _load(self, policy: PolicyConfig) -> None:
        engine = self._load_engine(self._config, policy)
        if not self._engines:
            self.common = engine
        else:
            _require_alike(engine, self.common)
        if policy.shadow and engine.policy.recurrence is not None:
            raise SchemaMismatch("a shadow can't be recurrent: nobody keeps its memory from one step to the next")
        self._engines[policy.name] = engine

    def _note(self, name: str, error: PolicyServerError, now: float) -> None:
        if self.troubles.get(name) != str(error):
            log.error("%s: policy %s is left out: %s", self._config.name, name, error)
        self.troubles[name] = str(error)
        _, pause = self._retries.get(name, (0.0, _SHORTEST_BREAK / 2))
        pause = min(_LONGEST_BREAK, 2 * pause)
        self._retries[name] = now + pause, pause


def _require_alike(engine: Engine, common: Engine) -> None:
    """Raises SchemaMismatch where one API can't stand for both."""
    mine, others = _kind(engine), _kind(common)
    for what, number in mine.items():
        if number != others[what]:
            raise SchemaMismatch(
                f"its model has {what} {number}, that of policy {common.name} {others[what]}:"
                " policies under one router must observe and do the same"
            )


def _kind(engine: Engine) -> dict[str, object]:
    manifest = engine.policy.manifest
    distribution = manifest.distribution
    parameters = 0 if distribution.continuous else distribution.parameters
    return {
        "the observation size": manifest.observation_size,
        "continuous actions:": distribution.continuous,
        "the number of action components": distribution.components,
        "the number of actions": distribution.sizes if isinstance(distribution, MultiCategorical) else parameters,
        "a memory of size": engine.policy.recurrence.size if engine.policy.recurrence else 0,
    }
