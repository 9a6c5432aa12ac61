"""What a router's graph is made of, put together anew when more policies are loaded or settings change."""

import numpy as np

from policy_server.config import seconds
from policy_server.engine import Engine
from policy_server.router.arms import Arm
from policy_server.router.exchange import Exchange
from policy_server.router.feedback import Feedback
from policy_server.router.named_episodes import NamedEpisodes
from policy_server.router.router import Router
from policy_server.router.store import State, Store
from policy_server.routing.decision_log import DecisionLog
from policy_server.routing.graph import Clock, Graph
from policy_server.routing.ledger import Ledger
from policy_server.routing.policies import Policies
from policy_server.routing.settings import SettingsFile, router_settings
from policy_server.routing.shadows import Shadows
from policy_server.tallies import Tallies


class Routing:
    """Holds the graph that requests are answered by at the moment; everything here is the event loop's thread's.

    Attributes:
        name: the PolicyServer's.
        engine: what all policies have in common.
        graph: answers.
        policies: what could be loaded.
        settings: what it is told.
        clock: tells the time, in seconds since 1970.
        router: chooses.
        store: keeps what is learned.
        exchange: between the router and its store.
        feedback: takes rewards.
        named: keeps episodes that clients named.
        decision_log: writes down what was decided.
        shadows: are compared with those that answer.
        ledger: notes what was answered.
    """

    def __init__(
        self,
        policies: Policies,
        settings: SettingsFile,
        store: Store,
        state: State,
        decision_log: DecisionLog,
        tallies: Tallies,
        clock: Clock,
    ) -> None:
        """Takes what is loaded, what it is told, and the store with what it has learned."""
        self.engine: Engine = policies.common
        self.name = self.engine.config.name
        self.policies = policies
        self.settings = settings
        self.store = store
        self.decision_log = decision_log
        self.clock = clock
        self._tallies = tallies
        # A stream of its own: one that actions are drawn from, too, would tie them to the arm.
        (self._random,) = np.random.default_rng(self.engine.config.seed).spawn(1)
        self._assemble(state)
        self.exchange = Exchange(self.router, store)

    def reassemble(self) -> None:
        """Goes on with the policies that are loaded now."""
        self._assemble(self.router.state, self.router)
        self.exchange.follow(self.router)

    def reconfigure(self) -> None:
        """Goes on with what the settings say now."""
        names = [arm.name for arm in self.router.arms]
        self.router.reconfigure(router_settings(self.settings.told, names, self.router.settings), self.clock())
        self._make_graph()

    def place(self, index: int) -> int:
        """Returns the arm of a policy, by that policy's index in the configuration; raises IndexError."""
        policies = self.engine.config.policies
        name = policies[index].name if index >= 0 else None
        for arm, engine in enumerate(self._engines):
            if engine.name == name:
                return arm
        raise IndexError(index)

    def _assemble(self, state: State, former: Router | None = None) -> None:
        self._engines = self.policies.answering
        arms = [Arm(engine.name, engine.policy.manifest.model_sha256) for engine in self._engines]
        told = router_settings(self.settings.told, [arm.name for arm in arms])
        self.router = Router(told, arms, state, self._random, self.clock(), former)
        self.feedback = Feedback(self.router, self.store)
        self.named = NamedEpisodes(self.router, self.store)
        self.shadows = Shadows(self.policies.shadows, self.name, self._tallies)
        self.ledger = Ledger(self.router, self._engines, self.shadows, self.decision_log, self._tallies)
        for policy in self.engine.config.policies:
            self._tallies.policy(self.name, policy.name).loaded(None)
        for engine in self.policies.loaded:
            self._tallies.policy(self.name, engine.name).loaded(engine.policy.manifest.model_sha256)
        self._make_graph()

    def _make_graph(self) -> None:
        told = self.settings.told.router
        names = [engine.name for engine in self._engines]
        self.decision_log.rate = told.decision_log.sample_rate if told.decision_log else 0.0
        self.ledger.follow(told.mode, logs=self.decision_log.rate > 0)
        slow = any(engine.slow for engine in self._engines)
        self.graph = Graph(
            self.engine,
            slow,
            self._engines,
            self.router,
            self.named,
            self.ledger,
            self.clock,
            names.index(told.fallback) if told.fallback in names else None,
            seconds(told.timeout),
        )
