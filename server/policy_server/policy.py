"""A loaded policy: an observation vector in, the parameters of its action distribution out."""

from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from policy_server.bundle import BundleManifest, read_bundle
from policy_server.errors import BundleError, InferenceFailed
from policy_server.sampling import Sampler, sampler_for


class Policy:
    """One bundle in memory, warm.

    Attributes:
        manifest: what the bundle says of itself.
        sampler: makes actions of the parameters.
    """

    def __init__(self, manifest: BundleManifest, session: onnxruntime.InferenceSession) -> None:
        self.manifest = manifest
        self.sampler: Sampler = sampler_for(manifest.distribution)
        self._session = session
        self._outputs = [manifest.output]

    @classmethod
    def load(cls, bundle: Path) -> Self:
        """Reads a bundle and makes one inference, so that the first request finds a warm model.

        Raises:
            BundleError: the bundle is damaged, or its model doesn't do what its manifest says.
        """
        model, manifest = read_bundle(bundle)
        options = onnxruntime.SessionOptions()
        # A policy takes microseconds: handing it to a pool costs more than it saves, and spinning starves the rest.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            # From bytes: a model can't reach for other files.
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            policy = cls(manifest, session)
            policy.sampler.most_likely(policy.parameters(np.zeros((1, manifest.observation_size), np.float32)))
        except InferenceFailed as error:
            raise BundleError(f"{bundle}: the warm-up inference failed: {error}") from None
        except Exception as error:  # noqa: BLE001 -- ONNX Runtime raises classes of its C++ side without a common base
            raise BundleError(f"{bundle}: ONNX Runtime can't load the model: {error}; import it again") from None
        return policy

    def parameters(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the distribution's parameters, shape `(parameters,)`, for an observation of shape `(1, n)`.

        Raises:
            InferenceFailed: the model raised, or answered with another shape.
        """
        return self.parameter_rows(observation)[0]  # type: ignore[no-any-return]

    def parameter_rows(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the distributions' parameters `(rows, parameters)` of observations `(rows, n)`, by one inference.

        Raises:
            InferenceFailed: the model raised, or answered with another shape.
        """
        try:
            (output,) = self._session.run(self._outputs, {self.manifest.input: observations})
        except Exception as error:  # noqa: BLE001 -- as in load
            raise InferenceFailed(f"the model failed: {error}") from None
        expected = (len(observations), self.manifest.distribution.parameters)
        if output.shape != expected:
            raise InferenceFailed(f"the model's answer has the shape {output.shape}, its manifest says {expected}")
        return output  # type: ignore[no-any-return]
