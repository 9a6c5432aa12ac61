"""What the API server can answer but yes."""

from policy_operator.errors import PolicyOperatorError


class ClusterError(PolicyOperatorError):
    """A request to the API server came to nothing."""


class Unavailable(ClusterError):
    """No answer, or one that passes by itself: try again."""


class Refused(ClusterError):
    """The API server understood and won't do it: a permission, a quota, an admission webhook, an invalid object."""


class NotFound(ClusterError):
    """There is no such object, or no such kind."""


class Conflict(ClusterError):
    """The object changed meanwhile, or is another one of the same name."""


class Expired(ClusterError):
    """What a watch should go on from is too long ago: list again."""


class NotConnected(ClusterError):
    """Neither a kubeconfig nor a pod's service account says where the API server is."""
