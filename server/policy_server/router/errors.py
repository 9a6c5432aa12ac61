"""What a router refuses; each message names the thing and the remedy."""

from policy_server.errors import PolicyServerError


class NoArmLeft(PolicyServerError):
    """Every arm that may be drawn is out; what `fallback` names may still answer."""


class RewardRefused(PolicyServerError):
    """A reward is not finite or out of its range."""


class StoreAway(PolicyServerError):
    """The store can't be reached now; decisions go on from the last snapshot, rewards must be sent again."""


class IdRefused(PolicyServerError):
    """A sealed id can't be used."""


class NotIssued(IdRefused):
    """It was not sealed with this router's key, or was changed since."""


class OtherEpoch(IdRefused):
    """It was sealed before the router lost its memory of which rewards it had already counted."""


class Expired(IdRefused):
    """It is too old."""
