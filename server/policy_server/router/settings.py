"""What a router is told."""

from dataclasses import dataclass, field

from policy_server.router.horizon import Horizon
from policy_server.router.modes import Mode
from policy_server.router.rewards import RewardRange
from policy_server.router.store import Fold


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """All that can change while a router runs; durations are seconds.

    Attributes:
        mode: how it chooses.
        horizon: how much old rewards count, and how long a decision's reward is waited for.
        bounds: between what rewards lie; they are scaled to [0, 1] by it. None: they are taken as they are.
        default: the reward of a decision whose reward didn't come in time; None: that decision isn't learned from.
        fold: what an episode's rewards come to.
        patience: how long after its last reward an episode is over, if nothing said that it is done.
        longest_episode: how long an id keeps an episode on its arm.
        freeze: whether rewards change nothing.
    """

    mode: Mode
    horizon: Horizon = field(default_factory=Horizon)
    bounds: RewardRange | None = None
    default: float | None = None
    fold: Fold = Fold.SUM
    patience: float = 600
    longest_episode: float = 86_400
    freeze: bool = False
