"""What is noted of answers and rewards: counted, written down, given to shadows."""

from collections.abc import Sequence
from contextlib import suppress
from math import inf

from policy_server.deciding import Vectors
from policy_server.drift import Drift
from policy_server.engine import Decision, Engine
from policy_server.router.errors import IdRefused
from policy_server.router.routed import Routed
from policy_server.router.router import Router
from policy_server.router.store import Outcome
from policy_server.routing.decision_log import DecisionLog
from policy_server.routing.shadows import Shadows
from policy_server.tallies import Tallies

_COUNTED = (Outcome.LEARNED, Outcome.KEPT)

Shares = tuple[float, ...] | None


class Ledger:
    """Notes what a router's policies did.

    Attributes:
        logs: whether decisions are written down.
        mode: how the router chooses, in the log's words.
    """

    def __init__(
        self, router: Router, engines: Sequence[Engine], shadows: Shadows, decision_log: DecisionLog, tallies: Tallies
    ) -> None:
        """Takes the router, and the engines of its arms in their order."""
        self.logs = False
        self.mode = ""
        self._router = router
        self._engines = engines
        self._shadows = shadows if shadows else None
        self._log = decision_log
        self._name = engines[0].config.name
        self._tallies = tallies
        self._policies = [tallies.policy(self._name, engine.name) for engine in engines]
        self._watches = [Drift(engine.schema, engine.policy.manifest.observation_size) for engine in engines]
        for tally, watch in zip(self._policies, self._watches, strict=True):
            tally.watch = watch

    def answered(self, routed: Routed, vector: Vectors, decision: Decision, now: float, seconds: float) -> None:
        """Notes the answer to one observation, made at `now` by an inference of so many seconds.

        The router has counted it already.
        """
        arm, router = routed.arm, self._router
        self._policies[arm].note(seconds, decision.actions, 1)
        self._watches[arm].observe(vector, now)
        if router.availability.troubled:
            router.availability.answered(arm)
        if self.logs or self._shadows is not None:
            self._show(routed, vector, decision, now, router.propensities)

    def inferred(self, arm: int, seconds: float) -> None:
        """Notes how long an inference took."""
        self._policies[arm].note(seconds)

    def decided(self, routed: Routed, now: float) -> None:
        """Notes an answered request, however many rows it has."""
        if routed.fallback:
            self._policies[routed.arm].fallbacks += 1
            return
        self._policies[routed.arm].note(decisions=1)
        self._router.answered(routed, now)
        if self._router.availability.troubled:
            self._router.availability.answered(routed.arm)

    def acted(self, routed: Routed, vector: Vectors, decision: Decision, now: float, shares: Shares) -> None:
        """Notes what was done about one observation; `shares` are those under which the policy was drawn."""
        self._policies[routed.arm].note(None, decision.actions)
        self._watches[routed.arm].observe(vector, now)
        self._show(routed, vector, decision, now, shares)

    def _show(self, routed: Routed, vector: Vectors, decision: Decision, now: float, shares: Shares) -> None:
        """Shows a decision to the shadows and the log."""
        if self._shadows is not None and not routed.fallback:
            self._shadows.take(self._engines[routed.arm], vector)
        if self.logs:
            digest = self._engines[routed.arm].policy.manifest.model_sha256
            told = shares and dict(zip((arm.name for arm in self._router.arms), shares, strict=True))
            self._log.decision(now, self.mode, told, digest, routed, vector, decision)

    def failed(self, arm: int) -> None:
        """Notes that there was no usable answer."""
        self._policies[arm].failures += 1

    def refused(self, why: str) -> None:
        """Notes feedback that was not taken."""
        self._tallies.count_feedback(self._name, why)

    def rewarded(
        self, sealed: str, name: str, reward: float, outcome: Outcome, now: float, *, done: bool, episode: bool
    ) -> None:
        """Notes a reward that is stored; `name` is what the client said, `sealed` an id of the same."""
        with suppress(IdRefused):  # too old by now, so that nothing was learned
            arm = self._router.index(self._router.sealer.opened(sealed, now, inf).arm)
            if arm is not None:
                self._count(arm, reward, outcome)
        self._tallies.count_feedback(self._name, outcome)
        if self.logs:
            key = "episode_id" if episode else "decision_id"
            self._log.feedback(now, key, name, reward, done, outcome)

    def rewarded_arm(self, arm: int, reward: float, outcome: Outcome) -> None:
        """Notes a reward of which only the arm is known."""
        self._count(arm, reward, outcome)
        self._tallies.count_feedback(self._name, outcome)

    def _count(self, arm: int, reward: float, outcome: Outcome) -> None:
        if outcome in _COUNTED:
            self._policies[arm].rewards.take(reward)
