"""What is noted of answers and rewards: counted, written down, given to shadows."""

from collections.abc import Sequence
from contextlib import suppress
from math import inf

from policy_server.deciding import Counted, Vectors
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
        policies: those of its arms, which count what they decide at once.
        shows: whether anybody wants to be shown each decision.
    """

    def __init__(
        self, router: Router, engines: Sequence[Engine], shadows: Shadows, decision_log: DecisionLog, tallies: Tallies
    ) -> None:
        """Takes the router, and the engines of its arms in their order."""
        self.shows = False
        self._logs = False
        self._mode = ""
        self._router = router
        self._shadows = shadows
        self._log = decision_log
        self._name = engines[0].config.name
        self._tallies = tallies
        self.policies = [Counted(engine, tallies, 1) for engine in engines]

    def follow(self, mode: str, *, logs: bool) -> None:
        """Takes how the router chooses now, in the log's words, and whether decisions are written down."""
        self._mode = mode
        self._logs = logs
        self.shows = logs or bool(self._shadows)

    def inferred(self, arm: int, seconds: float) -> None:
        """Notes how long an inference took."""
        self.policies[arm].tally.note(seconds)

    def decided(self, routed: Routed, now: float) -> None:
        """Notes an answered request, however many rows it has."""
        if routed.fallback:
            self.policies[routed.arm].tally.fallbacks += 1
            return
        self.policies[routed.arm].tally.note(decisions=1)
        self._router.answered(routed, now)

    def acted(self, routed: Routed, vector: Vectors, decision: Decision, now: float, shares: Shares) -> None:
        """Notes what was done about one observation; `shares` are those under which the policy was drawn."""
        self.policies[routed.arm].acted(vector, decision)
        self.show(routed, vector, decision, now, shares)

    def show(self, routed: Routed, vector: Vectors, decision: Decision, now: float, shares: Shares) -> None:
        """Shows a decision to the shadows and the log; `shares` are those under which the policy was drawn."""
        if self._shadows and not routed.fallback:
            self._shadows.take(self.policies[routed.arm].engine, vector)
        if self._logs:
            digest = self.policies[routed.arm].engine.policy.manifest.model_sha256
            told = shares and dict(zip((arm.name for arm in self._router.arms), shares, strict=True))
            self._log.decision(now, self._mode, told, digest, routed, vector, decision)

    def failed(self, arm: int) -> None:
        """Notes that there was no usable answer."""
        self.policies[arm].tally.failures += 1

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
        if self._logs:
            key = "episode_id" if episode else "decision_id"
            self._log.feedback(now, key, name, reward, done, outcome)

    def rewarded_arm(self, arm: int, reward: float, outcome: Outcome) -> None:
        """Notes a reward of which only the arm is known."""
        self._count(arm, reward, outcome)
        self._tallies.count_feedback(self._name, outcome)

    def _count(self, arm: int, reward: float, outcome: Outcome) -> None:
        if outcome in _COUNTED:
            self.policies[arm].tally.rewards.take(reward)
