"""MLServer's custom runtime: the way its documentation has for models that it has no runtime for."""
# MLServer is in an environment of its own, so mypy knows nothing of it.
# mypy: ignore-errors

from mlp import Policy
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Mlp(MLModel):
    """The policy behind the Open Inference Protocol."""

    async def load(self) -> bool:
        """Loads the model."""
        self._policy = Policy()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Samples an action."""
        # Read as it came: MLServer's codecs, which make an array of it first, cost more.
        action, probability = self._policy.act(payload.inputs[0].data.root)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                ResponseOutput(name="actions", shape=[1], datatype="INT64", data=[action]),
                ResponseOutput(name="probability", shape=[1], datatype="FP64", data=[probability]),
            ],
        )
