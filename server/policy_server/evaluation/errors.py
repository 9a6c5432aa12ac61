"""What can't be evaluated; each message says why and what helps."""

from policy_server.errors import PolicyServerError


class EvaluationRefused(PolicyServerError):
    """A log, or what is asked of it, doesn't allow an answer."""
