"""What a router tells of itself, to whoever runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy_server.router.arms import Arm
from policy_server.router.store import State, exported


@dataclass(frozen=True, slots=True)
class ArmReport:
    """One policy under a router.

    Attributes:
        name: the policy's.
        digest: its model's; None: it isn't loaded.
        shadow: whether it only answers to be compared.
        state: Available; Out, after failures, to be tried again; or NotLoaded.
        detail: why it isn't available.
        weight: the probability with which it is chosen; None: it isn't drawn.
        decisions: how many were made of late enough to count, or episodes.
        rewards: how many of them have a reward.
        mean_reward: the mean of these rewards, as they came.
    """

    name: str
    digest: str | None
    shadow: bool = False
    state: str = "Available"
    detail: str | None = None
    weight: float | None = None
    decisions: float = 0
    rewards: float = 0
    mean_reward: float | None = None


@dataclass(frozen=True, slots=True)
class RouterReport:
    """One router.

    Attributes:
        time: of the report, in seconds since 1970.
        mode: how it chooses.
        frozen: whether it learns nothing now.
        store_away: why its store can't be used; None: it can.
        arms: its policies.
        snapshot: what it has learned, where the next store may begin with it.
    """

    time: float
    mode: str
    frozen: bool
    store_away: str | None
    arms: Sequence[ArmReport]
    snapshot: tuple[State, Sequence[Arm]] | None = None

    def content(self, policyserver: str) -> Mapping[str, Any]:
        """Returns it as JSON would have it."""
        return {
            "name": policyserver,
            "mode": self.mode,
            "frozen": self.frozen,
            "storeAway": self.store_away,
            "arms": [
                {
                    "name": arm.name,
                    "digest": arm.digest,
                    "shadow": arm.shadow,
                    "state": arm.state,
                    "detail": arm.detail,
                    "weight": arm.weight,
                    "decisions": round(arm.decisions),
                    "rewards": round(arm.rewards),
                    "meanReward": arm.mean_reward,
                }
                for arm in self.arms
            ],
            "snapshot": exported(*self.snapshot) if self.snapshot else None,
        }
