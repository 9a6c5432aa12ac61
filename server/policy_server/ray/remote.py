"""A policy that answers in other processes, for an engine that needn't know it."""

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from policy_server.bundle import BundleManifest
from policy_server.config import PolicyConfig, ServerConfig
from policy_server.engine import Engine
from policy_server.errors import BundleError, InferenceFailed, PolicyAway
from policy_server.policy import SLOW_SECONDS, Policy, Tensors
from policy_server.ray.replica import About
from policy_server.threads import Threads

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0
"""How long an answer is waited for where no router says it."""
_LOAD_SECONDS = 120.0
"""How long a policy is waited for that is being loaded."""
_MOST_WAITING = 64
"""How many requests wait for one policy's answers at a time, for each process in which they arrive."""
_ATTEMPTS = 2
"""How often a request is asked anew whose replica died: it may have died of the request."""

Result = TypeVar("Result")
_waiting = threading.local()


class RemotePolicy(Policy):
    """A policy that replicas of Ray run. It must be asked in threads of `Waiting`: asking waits.

    Args:
        manifest: of its bundle.
        seconds: how long one of its inferences takes there.
        replicas: the handle of its deployment.
    """

    def __init__(self, manifest: BundleManifest, seconds: float, replicas: Any) -> None:
        super().__init__(manifest, None)
        self.seconds = max(seconds, SLOW_SECONDS)  # asking takes as long
        self._replicas = replicas

    def outputs(self, inputs: Tensors) -> list[NDArray[np.float32]]:
        """See `Policy`; raises PolicyAway where no replica answers."""
        patience: float = getattr(_waiting, "seconds", PATIENCE_SECONDS)
        end = monotonic() + patience
        for attempt in range(_ATTEMPTS):
            asked = self._replicas.outputs.remote(inputs)
            try:
                return asked.result(timeout_s=max(0.0, end - monotonic()))  # type: ignore[no-any-return]
            except InferenceFailed as error:
                # Ray may have made it an error of its own, with the whole traceback as its message.
                raise InferenceFailed(str(getattr(error, "cause", error))) from None
            except TimeoutError:
                asked.cancel()
                raise PolicyAway(_late(patience)) from None
            except Exception as error:  # noqa: BLE001 -- Ray raises many classes without a common base
                log.warning("a replica was lost, attempt %d: %s", attempt + 1, _first_line(error))
                why: Exception = error
        raise PolicyAway(f"the replica that was to answer was lost ({type(why).__name__}); come again later")


class Waiting(Threads):
    """Threads that wait for other processes. They are many, for they take no CPU, and all of them have a time-out."""

    def __init__(self) -> None:
        super().__init__(_MOST_WAITING)

    async def run(self, answer: Callable[[], Result], patience: float | None = None) -> Result:
        """See `Threads`; without patience of its own a request has some of ours, and raises PolicyAway after it."""
        seconds = PATIENCE_SECONDS if patience is None else patience

        def bounded() -> Result:
            _waiting.seconds = seconds + 1  # who asks has given up by then
            return answer()

        try:
            return await super().run(bounded, seconds)
        except TimeoutError:
            if patience is not None:
                raise
            raise PolicyAway(_late(seconds)) from None


def remote_engine(config: ServerConfig, policy: PolicyConfig, manifest: BundleManifest, replicas: Any) -> Engine:
    """Returns an engine whose policy, with this manifest, the replicas of a handle run.

    Raises:
        BundleError: they can't load the policy, or have another model than there is here.
        SchemaMismatch: as `Engine.load`.
    """
    try:
        about: About = replicas.about.remote().result(timeout_s=_LOAD_SECONDS)
    except BundleError as error:
        raise BundleError(str(getattr(error, "cause", error))) from None
    except Exception as error:  # noqa: BLE001 -- as above
        raise BundleError(f"no process of Ray has loaded policy {policy.name}: {_first_line(error)}") from None
    if about.digest != manifest.model_sha256:
        raise BundleError(
            f"{policy.bundle} has the model {manifest.model_sha256[:12]} here, and {about.digest[:12]} where Ray runs"
            " it: give all pods the same bundles"
        )
    remote = RemotePolicy(manifest, about.seconds, replicas)
    return Engine(config, policy.name, remote, np.random.default_rng(config.seed), Waiting())


def _late(seconds: float) -> str:
    return f"no replica of this policy answered within {seconds:g} s; come again later"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
