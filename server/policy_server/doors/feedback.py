"""`POST /feedback`: rewards for what a router's policies decided, taken by any replica, counted once."""

from typing import Annotated, Self

from fastapi import Body
from pydantic import BaseModel, Field, FiniteFloat, model_validator

from policy_server.doors.door import Door, EpisodeId
from policy_server.router.errors import IdRefused, NotIssued, OtherEpoch, RewardRefused, StoreAway
from policy_server.router.store import Outcome
from policy_server.routing.routing import Routing

DECISION = "decision_id"

_LEARNED = (Outcome.LEARNED, Outcome.KEPT, Outcome.REPEATED)


class Reward(BaseModel):
    """A reward for a decision, or for an episode."""

    decision_id: Annotated[str | None, Field(max_length=256, description="That of the answer.")] = None
    episode_id: Annotated[EpisodeId | None, Field(description="That of the episode's answers.")] = None
    reward: FiniteFloat
    done: Annotated[bool, Field(description="Whether the episode is over, so that its return can be learned.")] = False
    reward_id: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Tells this reward from others of the episode_id, so that it is counted once however often it"
            " is sent; a decision_id does so by itself.",
        ),
    ] = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.decision_id is None) == (self.episode_id is None):
            raise ValueError("give exactly one of decision_id and episode_id")
        return self


class Taken(BaseModel):
    """What became of a reward."""

    outcome: Annotated[Outcome, Field(description="What became of it; all are safe, none need be sent again.")]
    learned: Annotated[bool, Field(description="Whether the router learns from it, now or when the episode is over.")]


def open_feedback(door: Door) -> None:
    """Declares the route, where there is a router."""
    routing = door.routing
    if routing is None:
        return
    described = door.described("Feedback", {404: "No answer of this router had that id."})
    described["responses"][503]["description"] = "The store is away: send it again, nothing is counted twice."

    @door.app.post("/feedback", status_code=202, summary="Reward a decision or an episode", **described)
    async def feedback(reward: Annotated[Reward, Body()]) -> Taken:
        """Takes a reward; 202 once it is stored, and then it is counted exactly once.

        A decision's reward is learned at once, unless its episode goes on: then it is part of the episode's return,
        which is learned when `done` is said, or no more rewards come.
        """
        outcome = await take_reward(
            routing,
            reward.decision_id or reward.episode_id or "",
            reward.reward,
            episode=reward.episode_id is not None,
            done=reward.done,
            part=(reward.reward_id or "") if reward.episode_id else "",
        )
        return Taken(outcome=outcome, learned=outcome in _LEARNED)


async def take_reward(
    routing: Routing, name: str, reward: float, *, episode: bool = False, done: bool = False, part: str = ""
) -> Outcome:
    """Gives a reward to whom a sealed id, or an episode's own name, stands for; counts it by what became of it.

    Raises:
        IdRefused: nobody.
        RewardRefused: the reward is out of range.
        StoreAway: it couldn't be stored.
    """
    now = routing.clock()
    sealed = name
    try:
        try:
            outcome = await routing.feedback.take(sealed, reward, now, episode=episode, done=done, part=part)
        except NotIssued:
            begun = await routing.named.begun(name, now) if episode else None
            if begun is None:
                raise
            sealed = begun.id
            outcome = await routing.feedback.take(sealed, reward, now, episode=True, done=done, part=part)
    except (IdRefused, RewardRefused, StoreAway) as error:
        routing.ledger.refused(_refusal(error))
        raise
    routing.ledger.rewarded(sealed, name, reward, outcome, now, done=done, episode=episode)
    return outcome


async def take_reward_for_policy(routing: Routing, index: int, reward: float) -> Outcome:
    """Gives a reward to a policy, by its index in the configuration, where nothing else is known.

    Raises:
        IndexError: there is no such policy, or it is none that can be chosen now.
        RewardRefused: the reward is out of range.
        StoreAway: it couldn't be stored.
    """
    now = routing.clock()
    arm = routing.place(index)
    try:
        outcome = await routing.feedback.take_for_arm(arm, reward, now)
    except (RewardRefused, StoreAway) as error:
        routing.ledger.refused(_refusal(error))
        raise
    routing.ledger.rewarded_arm(arm, reward, outcome)
    return outcome


def _refusal(error: Exception) -> str:
    """Returns what metrics count a refused reward by."""
    match error:
        case StoreAway():
            return "store_away"
        case RewardRefused():
            return "refused"
        case OtherEpoch():
            return "other_epoch"
        case _:
            return "not_issued"
