"""When policies that pods do without are tried again: by pods of a new attempt, while the former ones serve on."""

from collections.abc import Sequence
from datetime import datetime

from policy_operator.desired.metadata import Object
from policy_operator.desired.models import model_keys
from policy_operator.rollout import FETCH_FAILED, Rollout, current_pods, given_up, version_of

_FIRST_WAIT = 60.0
_LONGEST_WAIT = 6 * 3600.0


def may_change(pod: Object, policy: str) -> bool:
    """Whether a pod goes on without a policy that may be had later: the same model is never converted otherwise."""
    failure = given_up(pod, policy)
    return failure is not None and failure.reason == FETCH_FAILED


def attempt(template: Object, rollout: Rollout, pods: Sequence[Object], now: datetime) -> str | None:
    """The version that the pods of a template should have now, if nothing else about them changes.

    Each attempt waits twice as long as the one before, since its newest pod; one that hasn't shown yet what becomes of
    it is waited for.
    """
    version = version_of(template)
    current = current_pods(template, pods)
    lacking = any(may_change(pod, policy) for pod in current for policy in model_keys(pod))
    # Where no policy is left that answers, the server fails and the rollout never completes.
    settled = rollout.complete or (rollout.ready == 0 and rollout.failure is not None)
    if version is None or not lacking or not settled:
        return version
    digest, _, tried = version.partition(".")
    tries = int(tried or 0)
    newest = datetime.fromisoformat(current[-1]["metadata"]["creationTimestamp"])
    due = (now - newest).total_seconds() > min(_FIRST_WAIT * 2 ** min(tries, 10), _LONGEST_WAIT)
    return f"{digest}.{tries + 1}" if due else version
