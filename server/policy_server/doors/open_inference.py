"""The Open Inference Protocol (V2) over REST, as KServe's and Triton's clients speak it: health, metadata, inference.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
The one model is the PolicyServer, by its name; its version is the beginning of the model's digest, and under a router
that of all models' digests. A router chooses once for each request, however many rows it has.
"""

from hashlib import sha256
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from fastapi import Body, Header, HTTPException, Path
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from policy_server.doors.door import Door
from policy_server.doors.inference_inputs import INPUT, state_error, state_tensor, vectors_and_states
from policy_server.doors.inference_messages import (
    InferenceAnswer,
    InferenceOutput,
    InferenceRejection,
    InferenceRequest,
    InferredTensor,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    RememberingOutput,
    RememberingRequest,
    ServerMetadata,
    TensorMetadata,
)
from policy_server.doors.tensors import (
    JSON_LENGTH_HEADER,
    TensorRoute,
    datatype_of,
    tensors_after,
)
from policy_server.errors import ObservationError
from policy_server.recurrence import STATE

TAG = "Open Inference Protocol"


def open_inference_protocol(door: Door) -> None:
    """Declares all of `/v2`; errors have the protocol's `error` beside our `detail`."""
    _declare_health(door)
    _declare_models(door)
    _declare_inference(door)


def _declare_health(door: Door) -> None:
    app = door.app

    @app.get("/v2/health/live", summary="Whether the server lives", tags=[TAG])
    async def open_inference_live() -> Live:
        """Answers as long as the process handles requests; needs no key."""
        return Live(live=True)

    @app.get("/v2/health/ready", summary="Whether inference is answered", tags=[TAG])
    async def open_inference_ready() -> Ready:
        """Answers once the policy is loaded and warm; needs no key."""
        return Ready(ready=True)

    @app.get("/v2", summary="Show what the server is", tags=[TAG], **door.keyed)
    async def open_inference_server() -> ServerMetadata:
        """Returns the server's name, version and extensions of the protocol."""
        return ServerMetadata(name="policyserver", version=version("policyserver"), extensions=["binary_tensor_data"])


def _model_version(door: Door) -> str:
    if door.routing is None:
        return door.engine.policy.manifest.model_sha256[:12]
    digests = ",".join(engine.policy.manifest.model_sha256 for engine in door.routing.policies.loaded)
    return sha256(digests.encode()).hexdigest()[:12]


def _require_model(door: Door, name: str, wanted: str) -> None:
    served = door.engine.config.name
    if name != served:
        raise HTTPException(404, f"There is no model {name}; there is {served}")
    if wanted not in ("", _model_version(door)):
        raise HTTPException(404, f"There is no version {wanted} of {name}; there is {_model_version(door)}")


def _described(door: Door, *codes: int) -> dict[str, Any]:
    refusals: dict[int | str, Any] = {code: {"model": InferenceRejection} for code in codes}
    if door.keyed:
        refusals[401] = {"model": InferenceRejection}
    return door.keyed | {"tags": [TAG], "responses": refusals}


ModelName = Annotated[str, Path(description="The PolicyServer's name.")]
ModelVersion = Annotated[str, Path(description="The beginning of the model's digest.")]


def _declare_models(door: Door) -> None:
    app = door.app
    manifest = door.engine.policy.manifest
    actions = "FP32" if door.engine.continuous else "INT64"
    described = _described(door, 404)

    def metadata() -> ModelMetadata:
        told = ModelMetadata(
            name=door.engine.config.name,
            versions=[_model_version(door)],
            platform="onnxruntime_onnx",
            inputs=[TensorMetadata(name=INPUT, datatype="FP32", shape=[-1, manifest.observation_size])],
            outputs=[
                TensorMetadata(name="actions", datatype=actions, shape=[-1, manifest.distribution.components]),
                TensorMetadata(name="probability", datatype="FP64", shape=[-1]),
                TensorMetadata(
                    name="distribution_parameters", datatype="FP32", shape=[-1, manifest.distribution.parameters]
                ),
            ],
        )
        if (recurrence := door.engine.policy.recurrence) is not None:
            state = TensorMetadata(name=STATE, datatype="UINT8", shape=[-1, recurrence.sealed_bytes])
            told.inputs.append(state)
            told.outputs.append(state)
        return told

    @app.get("/v2/models/{name}", summary="Show what the model takes and gives", **described)
    async def open_inference_model(name: ModelName) -> ModelMetadata:
        """Returns the model's inputs and outputs."""
        _require_model(door, name, "")
        return metadata()

    @app.get("/v2/models/{name}/versions/{wanted}", summary="Show what this version takes and gives", **described)
    async def open_inference_model_version(name: ModelName, wanted: ModelVersion) -> ModelMetadata:
        """Returns the model's inputs and outputs; 404 where another version is served."""
        _require_model(door, name, wanted)
        return metadata()

    @app.get("/v2/models/{name}/ready", summary="Whether the model answers", **described)
    async def open_inference_model_ready(name: ModelName) -> ModelReady:
        """Answers once the model is loaded and warm."""
        _require_model(door, name, "")
        return ModelReady(name=name, ready=True)

    @app.get("/v2/models/{name}/versions/{wanted}/ready", summary="Whether this version answers", **described)
    async def open_inference_version_ready(name: ModelName, wanted: ModelVersion) -> ModelReady:
        """Answers once the model is loaded and warm; 404 where another version is served."""
        _require_model(door, name, wanted)
        return ModelReady(name=name, ready=True)


JsonLength = Annotated[
    int | None, Header(alias=JSON_LENGTH_HEADER, ge=0, description="How long the JSON is, where tensors follow it.")
]


def _declare_inference(door: Door) -> None:
    Episode: Any = door.episode_header  # noqa: N806 -- a type
    Asked: Any = InferenceRequest if door.engine.policy.recurrence is None else RememberingRequest  # noqa: N806 -- a type

    async def infer(
        name: ModelName,
        asked: Annotated[Asked, Body()],
        request: Request,
        json_length: JsonLength = None,
        episode: Episode = None,
    ) -> Any:
        """Samples an action for each row of `observations`; with the parameter `deterministic`, takes the most likely.

        Outputs are `actions` and their `probability`; on request also the model's `distribution_parameters`, in which
        an action that the mask forbids has the lowest number of float32.
        """
        _require_model(door, name, "")
        return await _inferred(door, asked, tensors_after(request), episode)

    async def infer_version(
        name: ModelName,
        wanted: ModelVersion,
        asked: Annotated[Asked, Body()],
        request: Request,
        json_length: JsonLength = None,
        episode: Episode = None,
    ) -> Any:
        """As without a version; 404 where another one is served."""
        _require_model(door, name, wanted)
        return await _inferred(door, asked, tensors_after(request), episode)

    for path, endpoint in (("", infer), ("/versions/{wanted}", infer_version)):
        door.app.router.add_api_route(
            f"/v2/models/{{name}}{path}/infer",
            endpoint,
            methods=["POST"],
            name=f"open_inference_{endpoint.__name__}",
            summary="Sample actions",
            response_model=InferenceAnswer,
            response_model_exclude_none=True,
            route_class_override=TensorRoute,
            **_described(door, 400, 404, 413, 422, 500, *([503] if door.routing else [])),
        )


async def _inferred(
    door: Door, asked: InferenceRequest, tensors: bytes, episode: str | None
) -> InferenceAnswer | Response:
    vectors, states = vectors_and_states(door, asked, tensors)
    deterministic = asked.parameters.deterministic
    episode = asked.parameters.episode_id or episode
    try:
        decisions, parameters, routed = await door.decider.rows(vectors, states, episode, deterministic=deterministic)
    except ObservationError as error:
        raise state_error(asked, error) if error.location[:1] == (STATE,) else error from None
    distribution = door.engine.policy.manifest.distribution
    kind = np.float32 if door.engine.continuous else np.int64
    rows = [decision.actions for decision in decisions]
    made: dict[str, NDArray[Any]] = {
        "actions": np.array(rows, kind).reshape(len(rows), distribution.components),
        "probability": np.array([decision.probability for decision in decisions], np.float64),
        # JSON has no infinity; softmax makes 0 of both.
        "distribution_parameters": np.maximum(parameters, np.finfo(np.float32).min),
        STATE: state_tensor(door, [decision.state for decision in decisions]),
    }
    usual: list[InferenceOutput] = [InferenceOutput(name="actions"), InferenceOutput(name="probability")]
    if states is not None:
        usual.append(RememberingOutput(name="state"))
    wanted = asked.outputs or usual
    outputs, pieces = [], []
    for output in wanted:
        tensor = made[output.name]
        told = InferredTensor(name=output.name, datatype=datatype_of(tensor), shape=list(tensor.shape))
        binary = output.parameters.binary_data
        if asked.parameters.binary_data_output if binary is None else binary:
            pieces.append(tensor.tobytes())
            told.parameters = {"binary_data_size": len(pieces[-1])}
        else:
            told.data = tensor.ravel().tolist()
        outputs.append(told)
    answer = InferenceAnswer(
        model_name=door.engine.config.name, model_version=_model_version(door), id=asked.id, outputs=outputs
    )
    if routed is not None:
        answer.parameters = {name: told for name, told in routed.content().items() if told is not None}
    if not pieces:
        return answer
    text = answer.model_dump_json(exclude_none=True).encode()
    headers = {JSON_LENGTH_HEADER: str(len(text))}
    return Response(b"".join([text, *pieces]), headers=headers, media_type="application/octet-stream")
