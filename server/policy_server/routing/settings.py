"""What a file of settings means for the policies that are there."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from policy_server.config import EpisodeReturn, RouterConfig, RouterMode, RouterSettingsFile, first_problem, seconds
from policy_server.errors import ConfigError
from policy_server.router.horizon import Discount, Horizon, Window
from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from policy_server.router.rewards import RewardRange
from policy_server.router.settings import RouterSettings
from policy_server.router.store import Fold
from policy_server.router.thompson import ThompsonSampling
from policy_server.router.upper_bounds import UCB1

log = logging.getLogger(__name__)

_FOLDS = {EpisodeReturn.SUM: Fold.SUM, EpisodeReturn.MEAN: Fold.MEAN, EpisodeReturn.LAST: Fold.LAST}


class SettingsFile:
    """A file of settings that may change at any time.

    Attributes:
        told: what it said last that could be used.
    """

    def __init__(self, path: Path) -> None:
        """Reads it.

        Raises:
            ConfigError: it isn't there, or says what can't be.
        """
        self._path = path
        try:
            self._text = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"no settings of the router: {error}") from None
        self.told = self._parsed(self._text)

    def changed(self) -> bool:
        """Reads it again; returns whether it says something else. What can't be used is logged, and nothing changes."""
        try:
            text = self._path.read_bytes()
        except OSError:
            return False  # it is being replaced, or gone with its owner
        if text == self._text:
            return False
        self._text = text
        try:
            self.told = self._parsed(text)
        except ConfigError as error:
            log.error("%s; routing goes on as it was", error)
            return False
        return True

    def _parsed(self, text: bytes) -> RouterSettingsFile:
        try:
            return RouterSettingsFile.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(f"{self._path}: {first_problem(error)}") from None


def router_settings(
    told: RouterSettingsFile, policies: Sequence[str], former: RouterSettings | None = None
) -> RouterSettings:
    """Returns what a router over these policies is told.

    The settings may name policies that aren't there (yet, or any more: while one set of pods replaces another, both
    follow the same file, or where one can't be loaded); what they say of the others holds. Where they leave nothing to
    those that are there, they share as in the former settings.
    """
    router = told.router
    mode = _mode(router, told.weights, policies)
    if former is not None and isinstance(mode, ABTest) and not any(mode.weights):
        mode = former.mode
    limit: Window | Discount | None = None
    if router.window is not None:
        limit = Window(seconds(router.window))
    elif router.discount is not None:
        limit = Discount(router.discount.factor, seconds(router.discount.every))
    return RouterSettings(
        mode=mode,
        horizon=Horizon(limit, seconds(router.reward_wait)),
        bounds=RewardRange(router.reward.min, router.reward.max) if router.reward else None,
        default=router.default_reward,
        fold=_FOLDS[router.episode_return],
        patience=seconds(router.episode_timeout),
        longest_episode=seconds(router.longest_episode),
        freeze=router.freeze,
    )


def _mode(router: RouterConfig, weights: dict[str, float], policies: Sequence[str]) -> Mode:
    match router.mode:
        case RouterMode.AB_TEST | RouterMode.CANARY:
            return ABTest(tuple(weights.get(policy, 0.0) for policy in policies))
        case RouterMode.EPSILON_GREEDY:
            epsilon = 0.1 if router.epsilon is None else router.epsilon
            return EpsilonGreedy(epsilon, router.min_pulls or 0)
        case RouterMode.THOMPSON_SAMPLING:
            return ThompsonSampling(router.min_pulls or 0)
        case RouterMode.UCB1:
            return UCB1(1 if router.min_pulls is None else router.min_pulls)
