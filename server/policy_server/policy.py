"""A loaded policy: an observation vector in, the parameters of its action distribution out."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Self
from weakref import WeakValueDictionary

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from policy_server.bundle import BundleManifest, read_bundle
from policy_server.errors import BundleError, InferenceFailed
from policy_server.onnx_runtime import session_options
from policy_server.recurrence import Recurrence
from policy_server.sampling import Sampler, sampler_for

# The warm-up ends after so many inferences, or so many seconds.
_WARM_UP_RUNS = 9
_WARM_UP_SECONDS = 0.05
Tensors = Mapping[str, NDArray[np.float32]]
"""A model's inputs by name, each with a row for each observation."""
SLOW_SECONDS = 0.001
"""An inference of at least so long is made in a thread, to which handing over costs a tenth of it."""


class Policy:
    """One bundle in memory, warm.

    Attributes:
        manifest: what the bundle says of itself.
        sampler: makes actions of the parameters.
        recurrence: its memory, if it has one.
        seconds: how long one inference takes: the median of those that warmed it up.
    """

    def __init__(self, manifest: BundleManifest, session: onnxruntime.InferenceSession) -> None:
        self.manifest = manifest
        self.sampler: Sampler = sampler_for(manifest.distribution)
        self.recurrence = Recurrence(manifest) if manifest.state else None
        self.seconds = 0.0
        self._session = session
        self._bound: _Bound | None = None
        self._names = [manifest.output, *(self.recurrence.outputs if self.recurrence else [])]

    @classmethod
    def load(cls, bundle: Path) -> Self:
        """Reads a bundle and makes some inferences, so that the first request finds a warm model.

        Raises:
            BundleError: the bundle is damaged, or its model doesn't do what its manifest says.
        """
        model, manifest = read_bundle(bundle)
        try:
            policy = cls(manifest, _session(model, manifest.model_sha256))
            policy._warm_up()
        except InferenceFailed as error:
            raise BundleError(f"{bundle}: the warm-up inference failed: {error}") from None
        except Exception as error:  # noqa: BLE001 -- ONNX Runtime raises classes of its C++ side without a common base
            raise BundleError(f"{bundle}: ONNX Runtime can't load the model: {error}; import it again") from None
        return policy

    def works(self) -> bool:
        """Tells whether an observation of zeros is answered, as when the policy was loaded; takes one inference."""
        try:
            self._answer_zeros()
        except InferenceFailed:
            return False
        return True

    def _answer_zeros(self) -> None:
        observation = np.zeros((1, self.manifest.observation_size), np.float32)
        if self.recurrence is None:
            rows = self.parameter_rows(observation)
        else:
            rows, _ = self.step(observation, self.recurrence.opened([None]))
        self.sampler.most_likely(rows[0])

    def _warm_up(self) -> None:
        self._answer_zeros()  # the first is slower than those that follow
        runs: list[float] = []
        while len(runs) < _WARM_UP_RUNS and sum(runs) < _WARM_UP_SECONDS:
            start = time.perf_counter()
            self._answer_zeros()
            runs.append(time.perf_counter() - start)
        self.seconds = statistics.median(runs)
        if self.recurrence is None and self.seconds < SLOW_SECONDS:
            self._bound = _Bound(self._session, self.manifest)

    def parameters(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the distribution's parameters, shape `(parameters,)`, for an observation of shape `(1, n)`.

        Raises:
            InferenceFailed: the model raised, or answered with another shape.
        """
        bound = self._bound
        if bound is None or not bound.free.acquire(blocking=False):
            return self.parameter_rows(observation)[0]  # type: ignore[no-any-return]
        try:
            return bound.run(observation)
        except Exception as error:  # noqa: BLE001 -- as in load
            raise InferenceFailed(f"the model failed: {error}") from None
        finally:
            bound.free.release()

    def parameter_rows(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the distributions' parameters `(rows, parameters)` of observations `(rows, n)`, by one inference.

        Raises:
            InferenceFailed: the model raised, or answered with another shape. A recurrent one always raises: see
                `step`.
        """
        output, *_ = self.outputs({self.manifest.input: observations})
        return self._checked(output, len(observations))

    def step(
        self, observations: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], list[str]]:
        """As `parameter_rows` of a recurrent policy, from its memories `(rows, size)`; also returns the next, sealed.

        Raises:
            InferenceFailed: the model raised, or answered with another shape or a memory that is not finite.
        """
        if self.recurrence is None:
            raise InferenceFailed("the model has no state, and was given one")
        output, *states = self.outputs({self.manifest.input: observations} | self.recurrence.inputs(memories))
        memories = self.recurrence.joined(states, len(observations))
        return self._checked(output, len(observations)), [self.recurrence.sealed(memory) for memory in memories]

    def outputs(self, inputs: Tensors) -> list[NDArray[np.float32]]:
        """Returns what the model makes of its inputs: the parameters, and the parts of its memory if it has one.

        Raises:
            InferenceFailed: the model raised.
        """
        try:
            return self._session.run(self._names, inputs)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 -- as in load
            raise InferenceFailed(f"the model failed: {error}") from None

    def _checked(self, output: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
        expected = (rows, self.manifest.distribution.parameters)
        if output.shape != expected:
            raise InferenceFailed(f"the model's answer has the shape {output.shape}, its manifest says {expected}")
        return output


_SESSIONS: WeakValueDictionary[str, onnxruntime.InferenceSession] = WeakValueDictionary()
_LOADING = Lock()


def _session(model: bytes, digest: str) -> onnxruntime.InferenceSession:
    """Returns what runs a model: one for all policies that have it, so that its weights are in memory and cache once.

    Two names for one model are no exception: a canary that was promoted has the stable policy's for a while.
    """
    with _LOADING:
        session = _SESSIONS.get(digest)
        if session is None:
            session = onnxruntime.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])
            _SESSIONS[digest] = session
        return session


class _Bound:
    """Inference of one observation in memory that is there already: a quarter less time than `run` for a small model.

    https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html

    Attributes:
        free: held by the thread that uses the memory.
    """

    def __init__(self, session: onnxruntime.InferenceSession, manifest: BundleManifest) -> None:
        self._input = np.zeros((1, manifest.observation_size), np.float32)
        self._output = np.zeros((1, manifest.distribution.parameters), np.float32)
        self._session = session
        self.free = Lock()
        self._binding = session.io_binding()
        for bind, name, array in (
            (self._binding.bind_input, manifest.input, self._input),
            (self._binding.bind_output, manifest.output, self._output),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def run(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the parameters of an observation `(1, n)`."""
        self._input[:] = observation
        self._session.run_with_iobinding(self._binding)
        return self._output[0].copy()  # type: ignore[no-any-return]
