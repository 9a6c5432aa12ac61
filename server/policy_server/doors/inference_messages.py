"""The messages of the Open Inference Protocol, as far as policies need them.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from policy_server.doors.tensors import DATATYPES
from policy_server.request_head import LONGEST_EPISODE_ID

OutputName = Literal["actions", "probability", "distribution_parameters"]
Size = Annotated[int, Field(ge=0, le=2**31 - 1)]


class InputParameters(BaseModel):
    """What is said of one input."""

    binary_data_size: Annotated[Size | None, Field(description="Bytes that follow the JSON, in place of data.")] = None


class InferenceInput(BaseModel):
    """The observations."""

    name: Literal["observations"]
    shape: Annotated[list[Size], Field(min_length=1, max_length=2, description="Rows and columns, or one row's length")]
    datatype: Literal[tuple(DATATYPES)]  # type: ignore[valid-type]
    parameters: InputParameters = InputParameters()
    data: Annotated[list[Any] | None, Field(description="Numbers, flat or nested as the shape says.")] = None


class OutputParameters(BaseModel):
    """How one output is wanted."""

    binary_data: bool | None = None


class InferenceOutput(BaseModel):
    """An output that is wanted."""

    name: OutputName
    parameters: OutputParameters = OutputParameters()


class InferenceParameters(BaseModel):
    """How the answer is wanted; further parameters are ignored."""

    deterministic: Annotated[bool, Field(description="Take the most likely action instead of sampling one.")] = False
    binary_data_output: Annotated[bool, Field(description="Answer in bytes what doesn't say otherwise.")] = False
    episode_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=LONGEST_EPISODE_ID,
            description="Where there is a router: that of the last answer's parameters, or a name of your own.",
        ),
    ] = None


class InferenceRequest(BaseModel):
    """Observations to act on."""

    id: Annotated[str | None, Field(max_length=256, description="Comes back in the answer.")] = None
    parameters: InferenceParameters = InferenceParameters()
    inputs: Annotated[list[InferenceInput], Field(min_length=1, max_length=1)]
    outputs: Annotated[
        list[InferenceOutput] | None, Field(max_length=3, description="Without it: actions and probability.")
    ] = None


class RememberingInput(InferenceInput):
    """The observations, or the states of a recurrent policy.

    States are those of the last answer, of type UINT8; a row of zeros begins an episode, as does a request without.
    """

    name: Literal["observations", "state"]  # type: ignore[assignment]  # one more than its base


class RememberingOutput(InferenceOutput):
    """An output that is wanted."""

    name: OutputName | Literal["state"]  # type: ignore[assignment]  # one more than its base


ObservationsAndStates = Annotated[list[RememberingInput], Field(min_length=1, max_length=2)]
RememberingOutputs = Annotated[
    list[RememberingOutput] | None, Field(max_length=4, description="Without it: actions, probability and state.")
]


class RememberingRequest(InferenceRequest):
    """Observations to act on, and the states to do it in."""

    inputs: ObservationsAndStates  # type: ignore[assignment]  # as above
    outputs: RememberingOutputs = None  # type: ignore[assignment]  # as above


class InferredTensor(BaseModel):
    """One output; its data follow the JSON where `parameters.binary_data_size` tells how many bytes they have."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[int | float] | None = None


class InferenceAnswer(BaseModel):
    """The actions for the observations."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    parameters: Annotated[
        dict[str, str | float | bool] | None,
        Field(description="With a router: `policy`, `decision_id`, `episode_id`, `propensity`."),
    ] = None
    outputs: list[InferredTensor]


class TensorMetadata(BaseModel):
    """One tensor of a model; -1 stands for any number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the server lives."""

    live: bool


class Ready(BaseModel):
    """Whether inference is answered."""

    ready: bool


class ModelReady(Ready):
    """Whether the model answers inference."""

    name: str


class InferenceRejection(BaseModel):
    """Why a request was refused."""

    error: Annotated[str, Field(description="What is wrong, and the remedy.")]
    detail: Any = None
