"""The one place where errors become HTTP answers; all have FastAPI's `detail`.

Those of the Open Inference Protocol have its `error` too: one sentence, which its clients raise.
"""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticSerializationError, to_json
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from policy_server.errors import InferenceFailed, NotOffered, ObservationError, Overloaded, PolicyAway
from policy_server.router.errors import IdRefused, NoArmLeft, RewardRefused, StoreAway

log = logging.getLogger(__name__)
_MOST_ERRORS = 1000
_MOST_ECHOED = 65_536
"""Bytes of a request that the answer to it may repeat."""


def answer_exceptions(app: FastAPI) -> None:
    """Registers an answer for each error that handling a request can end in."""
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(ObservationError)(_unfit)
    app.exception_handler(NotOffered)(_not_offered)
    app.exception_handler(InferenceFailed)(_failed)
    app.exception_handler(IdRefused)(_not_issued)
    app.exception_handler(RewardRefused)(_reward_refused)
    app.exception_handler(NoArmLeft)(_away)
    app.exception_handler(StoreAway)(_away)
    app.exception_handler(Overloaded)(_away)
    app.exception_handler(PolicyAway)(_away)
    app.exception_handler(Exception)(_unexpected)


def rejection(scope: Scope, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Returns the answer to a request that is refused for one reason."""
    return JSONResponse({"detail": detail} | _protocol_error(scope, detail), status, headers)


def _protocol_error(scope: Scope, text: str) -> dict[str, str]:
    """Returns what the protocol of the request's path wants to read beside the detail."""
    path = scope["path"][len(scope.get("root_path", "")) :]
    return {"error": text} if path == "/v2" or path.startswith("/v2/") else {}


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return _unprocessable(request, list(error.errors()))


async def _unfit(request: Request, error: ObservationError) -> Response:
    location = ("body", *error.location)
    return _unprocessable(request, [{"type": "value_error", "loc": location, "msg": str(error), "input": None}])


def _unprocessable(request: Request, errors: list[Any]) -> Response:
    errors = _bounded(errors)
    text = "; ".join(f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in errors)
    others = _protocol_error(request.scope, text)
    try:
        # FastAPI's own handler answers 500 where the input that it echoes holds NaN or infinity.
        content = to_json({"detail": errors} | others, inf_nan_mode="strings", fallback=str)
    except (PydanticSerializationError, ValueError, RecursionError):
        # The input is nested too deeply, or is text that UTF-8 can't hold: say what is wrong without it.
        content = to_json({"detail": [error | {"input": None} for error in errors]} | others, fallback=str)
    return Response(content, status_code=422, media_type="application/json")


def _bounded(errors: list[Any]) -> list[Any]:
    """Returns the first errors, without the inputs that would make the answer many times as long as the request.

    Each error echoes its input, and of a key that is missing that is the whole body.
    """
    left, bounded = _MOST_ECHOED, []
    for error in errors[:_MOST_ERRORS]:
        try:
            left -= len(to_json(error.get("input"), inf_nan_mode="strings", fallback=str)) if left >= 0 else 0
        except (PydanticSerializationError, ValueError, RecursionError):
            left = -1
        bounded.append(error if left >= 0 else error | {"input": None})
    return bounded


async def _refused(request: Request, error: HTTPException) -> Response:
    return rejection(request.scope, error.status_code, error.detail, error.headers)


async def _not_offered(request: Request, error: NotOffered) -> Response:
    # RFC 9110 wants the methods that a 405 allows to be named; here there is none.
    return rejection(request.scope, 405, str(error), {"Allow": ""})


async def _failed(request: Request, error: InferenceFailed) -> Response:
    log.error("inference failed: %s", error)
    return rejection(request.scope, 500, f"The policy gave no usable answer: {error}")


async def _not_issued(request: Request, error: IdRefused) -> Response:
    return rejection(request.scope, 404, str(error))


async def _reward_refused(request: Request, error: RewardRefused) -> Response:
    problem = {"type": "value_error", "loc": ("body", "reward"), "msg": str(error), "input": None}
    return _unprocessable(request, [problem])


async def _away(request: Request, error: NoArmLeft | StoreAway | Overloaded | PolicyAway) -> Response:
    return rejection(request.scope, 503, str(error), {"Retry-After": "1"})


async def _unexpected(request: Request, _: Exception) -> Response:
    # uvicorn logs the traceback; the client learns nothing of the inside.
    return rejection(request.scope, 500, "Internal server error; the server's log has the cause.")
