"""The HTTP interface of one PolicyServer: FastAPI declares it, the engine answers.

Routes, bodies and status codes are those of Pathmind's policy server, so that its clients work unchanged.
"""

from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field

from policy_server.auth import SECURITY_SCHEMES, ApiKeys, KeyGuard
from policy_server.body_limit import BodyLimit
from policy_server.bundle import DiagonalGaussian
from policy_server.engine import Decision, Engine
from policy_server.http_errors import answer_exceptions
from policy_server.metrics import Metrics
from policy_server.observations import observation_type, raw_observation_type
from policy_server.schema_document import schema_document


class Rejection(BaseModel):
    """Why a request was refused."""

    detail: Annotated[str, Field(description="What is wrong, and the remedy.")]


def create_app(engine: Engine, keys: ApiKeys | None, metrics: Metrics) -> FastAPI:
    """Returns the API of one PolicyServer; without keys it serves everyone."""
    config = engine.config
    app = FastAPIOffline(
        title=config.name,
        description="Actions for observations, from a trained policy.",
        version=version("policyserver"),
        redirect_slashes=False,
        strict_content_type=False,  # a body without a content type is JSON: there is nothing else it could be
        generate_unique_id_function=lambda route: route.name,  # what SDKs name their methods by
    )
    app.add_middleware(BodyLimit, most_bytes=config.max_body_bytes)
    answer_exceptions(app)
    _declare_health(app)
    keyed: dict[str, Any] = {}
    if keys:
        app.add_middleware(KeyGuard, keys=keys)
        keyed = {"dependencies": SECURITY_SCHEMES, "responses": {401: {"model": Rejection}}}
    _declare_predictions(app, engine, metrics, keyed)

    @app.get("/schema", summary="Show the schema", tags=["Clients"], **keyed)
    async def schema() -> dict[str, Any]:
        """Returns the schema in the form of Pathmind's `schema.yaml`, without the key."""
        return schema_document(config.observation_schema)

    return app


def _declare_health(app: FastAPI) -> None:
    @app.get("/", summary="Say ok", tags=["Health"])
    async def alive() -> str:
        """Tells that the server is there; needs no key."""
        return "ok"

    @app.get("/healthz", summary="Whether the process lives", tags=["Health"])
    async def healthy() -> str:
        """Answers as long as the process handles requests."""
        return "ok"

    @app.get("/readyz", summary="Whether predictions are answered", tags=["Health"])
    async def ready() -> str:
        """Answers once the policy is loaded and warm: before that nothing listens."""
        return "ok"


def _declare_predictions(app: FastAPI, engine: Engine, metrics: Metrics, keyed: dict[str, Any]) -> None:
    config, manifest = engine.config, engine.policy.manifest
    common = keyed | {
        "tags": ["Predictions"],
        "responses": keyed.get("responses", {}) | {413: {"model": Rejection, "description": "The body is too large."}},
    }
    number: Any = float if isinstance(manifest.distribution, DiagonalGaussian) else int

    class Action(BaseModel):
        """What the policy does."""

        actions: Annotated[list[number], Field(description="One number for each component of the action.")]
        probability: Annotated[
            float, Field(ge=0, description="Of these actions; the density where actions are real numbers.")
        ]

    def answer(decision: Decision) -> Action:
        metrics.count_actions(config.name, config.policies[0].name, decision.actions)
        return Action.model_construct(actions=decision.actions, probability=decision.probability)

    RawObservation: Any = raw_observation_type(manifest.observation_size)  # noqa: N806 -- a type

    @app.post("/predict_raw/", summary="Sample an action for the model's own input", **common)
    async def predict_raw(observation: Annotated[RawObservation, Body()]) -> Action:
        """As `/predict/`, with all of the model's inputs in one list."""
        return answer(engine.predict(engine.raw_vector(observation)))

    if not config.observation_schema.observations:
        return
    Observation: Any = observation_type(config.observation_schema)  # noqa: N806 -- a type

    @app.post("/predict/", summary="Sample an action", **common)
    async def predict(observation: Annotated[Observation, Body()]) -> Action:
        """Draws an action from the policy's distribution for this observation."""
        return answer(engine.predict(engine.vector(observation)))

    @app.post("/predict_deterministic/", summary="Take the most likely action", **common)
    async def predict_deterministic(observation: Annotated[Observation, Body()]) -> Action:
        """Returns the most likely action: the first among equals, and the mean where actions are real numbers."""
        return answer(engine.predict_deterministic(engine.vector(observation)))

    common["responses"] |= {405: {"model": Rejection, "description": "This policy's actions can't be listed."}}

    @app.post("/distribution/", summary="Show each action's probability", **common)
    async def distribution(observation: Annotated[Observation, Body()]) -> dict[str, float]:
        """Returns the probability of every action, by its index; 405 for tuples and for real numbers."""
        return engine.distribution(engine.vector(observation))
