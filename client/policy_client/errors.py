"""What can go wrong between a simulation and its policy; each message names the remedy."""


class PolicyError(ValueError):
    """A policy gave no action that the simulation can take; a ValueError, as Pathmind's client raises."""


class Unauthorized(PolicyError):
    """The server doesn't accept the API key."""


class Refused(PolicyError):
    """The server doesn't accept the observation; the message names its fields."""


class Unavailable(PolicyError):
    """The server couldn't be reached, or wasn't ready, however often it was asked."""


class NotFinite(PolicyError):
    """A number is infinite or NaN, which neither JSON nor a policy takes."""


class MissingDependency(PolicyError):
    """A package is needed that isn't installed."""
