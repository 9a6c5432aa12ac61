"""Takes rewards, on any replica."""

import secrets

from policy_server.router.errors import Expired
from policy_server.router.ids import NOBODY, NONCE_BYTES, Kind
from policy_server.router.rewards import require_reward
from policy_server.router.router import Router
from policy_server.router.store import Fold, Outcome, Reward, Store

_SKEW = 120
"""Seconds that a reward is remembered longer than its id is accepted: replicas' clocks differ."""


class Feedback:
    """Hands rewards to the store; times are seconds since 1970.

    Attributes:
        recorded: how many it has handed over.
    """

    def __init__(self, router: Router, store: Store) -> None:
        self.recorded = 0
        self._router = router
        self._store = store

    async def take(
        self, sealed: str, reward: float, now: float, *, episode: bool = False, done: bool = False, part: str = ""
    ) -> Outcome:
        """Counts a reward once, and returns when it is safe.

        A decision's reward is learned at once, unless its episode goes on: then it is part of the episode's return.

        Args:
            sealed: the id of a decision, or of an episode.
            reward: the reward.
            now: the time.
            episode: whether the id was given as that of an episode.
            done: whether the episode is over.
            part: tells this reward from others of its episode; that of a later decision is told by its id. Without
                it, a repeat of a reward that came by the episode's id is only known once the episode is over.

        Raises:
            NotIssued: the id is none of this router's.
            OtherEpoch: it is from before the router's memory was replaced.
            RewardRefused: the reward is not finite or out of range.
            StoreAway: nothing was counted, as far as is known; sending it again is safe.
        """
        told = self._router.settings
        try:
            issued = self._router.sealer.opened(sealed, now, told.longest_episode)
        except Expired:
            return Outcome.LATE
        if issued.kind == Kind.STEP:
            episode, part = True, part or issued.step.hex()
        # The range is that of what is learned: a sum's parts may be anything.
        require_reward(reward, None if episode and told.fold == Fold.SUM else told.bounds)
        if issued.arm == NOBODY:
            return Outcome.UNROUTED
        wait = told.longest_episode if episode else told.horizon.wait
        if not episode and now - issued.time / 1000 > wait:
            return Outcome.LATE
        return await self._record(
            Reward(
                nonce=issued.nonce,
                arm=issued.arm,
                bucket=told.horizon.home(told.horizon.bucket(issued.time), now),
                value=reward,
                now=int(1000 * now),
                expires=issued.time + int(1000 * (wait + _SKEW)),
                episode=episode,
                part=part.encode(),
                done=done,
                fold=told.fold,
                bounds=told.bounds,
                patience=told.patience,
            )
        )

    async def take_for_arm(self, arm: int, reward: float, now: float) -> Outcome:
        """Counts a reward of a client that echoes only which arm answered: repeats can't be told.

        Raises:
            IndexError: there is no such arm.
            RewardRefused: as above.
            StoreAway: as above, but sending it again may count it twice.
        """
        if arm < 0:
            raise IndexError(arm)
        told = self._router.settings
        require_reward(reward, told.bounds)
        at = int(1000 * now)
        bucket = told.horizon.bucket(at)
        tag = self._router.arms[arm].tag
        return await self._record(Reward(secrets.token_bytes(NONCE_BYTES), tag, bucket, reward, at, at))

    async def _record(self, reward: Reward) -> Outcome:
        outcome = await self._store.record(reward)
        self.recorded += 1
        return outcome
