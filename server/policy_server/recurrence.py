"""The memory of a recurrent policy, which lives with the client: it gets a text, and sends it with what follows."""

import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy_server.bundle import BundleManifest
from policy_server.errors import InferenceFailed, ObservationError

STATE = "state"
"""The key under which requests and answers hold the text."""
_SEAL_BYTES = 16
_MOST_NUMBERS = 2**22  # of one request's memories: 16 MB


class Recurrence:
    """Makes a text of a memory and back; a memory is `size` float32 numbers, all of its tensors one after the other.

    The text is base64 of a seal and the numbers, little-endian. The seal is a digest of the model's digest and the
    numbers, so that every replica knows it, also after a restart: it tells a memory of another model, and one that was
    cut or changed on the way. It is no secret: a client that wants to lie about its own memory can.

    Attributes:
        size: how many numbers there are.
        sealed_bytes: how many bytes seal and numbers have.
        text_length: how long the text is, always.
        most_rows: for how many observations one request can have memories.
    """

    def __init__(self, manifest: BundleManifest) -> None:
        self._states = manifest.state
        self._model = manifest.model_sha256.encode()
        self.size = sum(state.size for state in manifest.state)
        self.sealed_bytes = _SEAL_BYTES + 4 * self.size
        self.text_length = (self.sealed_bytes + 2) // 3 * 4
        self.most_rows = max(1, _MOST_NUMBERS // self.size)

    @property
    def outputs(self) -> list[str]:
        """The names of the model's outputs that give the next memory."""
        return [state.output for state in self._states]

    def inputs(self, memories: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Returns the model's inputs of memories `(n, size)`, by name."""
        inputs, start = {}, 0
        for state in self._states:
            inputs[state.input] = memories[:, start : start + state.size].reshape(len(memories), *state.shape)
            start += state.size
        return inputs

    def joined(self, outputs: Sequence[NDArray[Any]], rows: int) -> NDArray[np.float32]:
        """Returns the next memories `(rows, size)` of the model's outputs, in the order of `outputs`.

        Raises:
            InferenceFailed: one has another shape than the manifest says, or is not finite.
        """
        for state, output in zip(self._states, outputs, strict=True):
            expected = (rows, *state.shape)
            if output.shape != expected:
                raise InferenceFailed(
                    f"the model's output {state.output} has the shape {output.shape}, its manifest says {expected}"
                )
        memories = np.concatenate([output.reshape(rows, -1) for output in outputs], axis=1, dtype=np.float32)
        if not np.isfinite(memories).all():
            raise InferenceFailed("the model's state after this observation is not finite")
        return memories

    def sealed(self, memory: NDArray[np.float32]) -> str:
        """Returns the text of one memory `(size,)`."""
        numbers = memory.astype("<f4").tobytes()
        return binascii.b2a_base64(self._seal(numbers) + numbers, newline=False).decode()

    def opened(self, texts: Sequence[Any]) -> NDArray[np.float32]:
        """Returns the memories `(n, size)` of texts; None stands for the beginning of an episode, which is zeros.

        Raises:
            ObservationError: a text is none that `sealed` made for this model; its location is the text's index.
        """
        memories = np.zeros((len(texts), self.size), np.float32)
        for index, text in enumerate(texts):
            if text is not None:
                memories[index] = self._opened(text, index)
        return memories

    def _opened(self, text: Any, index: int) -> NDArray[np.float32]:
        if not isinstance(text, str):
            raise ObservationError("The state must be the text of an earlier answer", (index,))
        if len(text) != self.text_length:
            message = f"The state has {len(text)} characters, this policy's has {self.text_length}: {_REMEDY}"
            raise ObservationError(message, (index,))
        try:
            sealed = binascii.a2b_base64(text, strict_mode=True)
        except ValueError:
            raise ObservationError(f"The state is no base64: {_REMEDY}", (index,)) from None
        seal, numbers = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        # Also where the text ends in another way than ours: several texts would be one memory.
        if seal != self._seal(numbers) or binascii.b2a_base64(sealed, newline=False).decode() != text:
            raise ObservationError(f"The state was changed, or another model gave it: {_REMEDY}", (index,))
        memory = np.frombuffer(numbers, "<f4").astype(np.float32)
        if not np.isfinite(memory).all():
            raise ObservationError(f"The state holds what is not finite: {_REMEDY}", (index,))
        return memory

    def _seal(self, numbers: bytes) -> bytes:
        return hashlib.blake2b(self._model + numbers, digest_size=_SEAL_BYTES, person=b"policyserver").digest()


_REMEDY = "send back that of the last answer, or none at the beginning of an episode"
