"""What a router says of a decision."""

from typing import Any, NamedTuple

from policy_server.config import EPISODE


class Routed(NamedTuple):
    """Which arm answers, and as what.

    Attributes:
        arm: its index.
        propensity: the probability that it had of being drawn: for this decision, or for its whole episode where it is
            part of one; None: it wasn't drawn.
        id: the decision's.
        episode: the id that keeps an episode on this arm; that of its first decision is the decision's.
        policy: the arm's name.
        moved: whether the episode had to leave its arm, which is gone; `episode` is another one then.
        begins: whether this is an episode's first decision, or stands alone; it is what is counted.
        fallback: whether this arm answered because the one that was chosen couldn't; nobody learns from that.
    """

    arm: int
    propensity: float | None
    id: str
    episode: str
    policy: str
    moved: bool = False
    begins: bool = False
    fallback: bool = False

    @property
    def drawn(self) -> bool:
        """Whether it belongs to no episode yet, so that its id is that of the one that may go on from it."""
        return self.id == self.episode

    def content(self) -> dict[str, Any]:
        """Returns what answers tell of it."""
        content: dict[str, Any] = {
            "policy": self.policy,
            "decision_id": self.id,
            EPISODE: self.episode,
            "propensity": self.propensity,
        }
        if self.moved:
            content["moved"] = True
        if self.fallback:
            content["fallback"] = True
        return content
