"""The HTTP interface of one PolicyServer: FastAPI declares it, the engine answers, each protocol is a door to it."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from policy_server.auth import SECURITY_SCHEMES, ApiKeys, KeyGuard
from policy_server.body_limit import BodyLimit
from policy_server.deciding import Alone
from policy_server.doors.clients import open_clients
from policy_server.doors.door import Door, Rejection
from policy_server.doors.feedback import open_feedback
from policy_server.doors.open_inference import open_inference_protocol
from policy_server.doors.page import open_page
from policy_server.doors.pathmind import open_pathmind
from policy_server.doors.router_status import open_router_status
from policy_server.doors.seldon import open_seldon
from policy_server.doors.tutorial import open_tutorial
from policy_server.fast_path import FastPath
from policy_server.http_errors import answer_exceptions
from policy_server.routing.routing import Routing
from policy_server.schema_document import schema_document
from policy_server.tallies import Tallies


def create_app(
    answering: Alone | Routing, keys: ApiKeys | None, tallies: Tallies
) -> tuple[FastAPI, dict[str, FastPath]]:
    """Returns the API of one PolicyServer, and the short ways of some of its routes; without keys it serves everyone.

    The API alone answers everything, and the same.
    """
    config = answering.engine.config
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
    keyed: dict[str, Any] = {}
    if keys:
        app.add_middleware(KeyGuard, keys=keys)
        keyed = {"dependencies": SECURITY_SCHEMES, "responses": {401: {"model": Rejection}}}
    door = Door(app, answering, tallies, keyed, keys)
    open_pathmind(door)  # first, since routes are tried in order
    open_tutorial(door)
    _declare_health(app)

    @app.get("/schema", summary="Show the schema", tags=["Clients"], **keyed)
    async def get_schema() -> dict[str, Any]:
        """Returns the schema in the form of Pathmind's `schema.yaml`, without the key."""
        return schema_document(config.observation_schema)

    open_feedback(door)
    open_router_status(door)
    open_seldon(door)
    open_inference_protocol(door)
    open_clients(door)
    open_page(app)
    return app, door.short


def _declare_health(app: FastAPI) -> None:
    @app.get("/healthz", summary="Whether the process lives", tags=["Health"])
    async def healthy() -> str:
        """Answers as long as the process handles requests."""
        return "ok"

    @app.get("/readyz", summary="Whether predictions are answered", tags=["Health"])
    async def ready() -> str:
        """Answers once the policy is loaded and warm: before that nothing listens."""
        return "ok"
