"""The one place where errors become HTTP answers; all have FastAPI's `detail`."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticSerializationError, to_json
from starlette.responses import JSONResponse, Response

from policy_server.errors import InferenceFailed, NotOffered, ObservationError

log = logging.getLogger(__name__)


def answer_exceptions(app: FastAPI) -> None:
    """Registers an answer for each error that handling a request can end in."""
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(ObservationError)(_unfit)
    app.exception_handler(NotOffered)(_not_offered)
    app.exception_handler(InferenceFailed)(_failed)
    app.exception_handler(Exception)(_unexpected)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    return _unprocessable(list(error.errors()))


async def _unfit(_: Request, error: ObservationError) -> Response:
    return _unprocessable([{"type": "value_error", "loc": ("body", *error.location), "msg": str(error), "input": None}])


def _unprocessable(errors: list[Any]) -> Response:
    try:
        # FastAPI's own handler answers 500 where the input that it echoes holds NaN or infinity.
        content = to_json({"detail": errors}, inf_nan_mode="strings", fallback=str)
    except (PydanticSerializationError, ValueError, RecursionError):
        # The input is nested too deeply, or is text that UTF-8 can't hold: say what is wrong without it.
        content = to_json({"detail": [error | {"input": None} for error in errors]}, fallback=str)
    return Response(content, status_code=422, media_type="application/json")


async def _not_offered(_: Request, error: NotOffered) -> Response:
    # RFC 9110 wants the methods that a 405 allows to be named; here there is none.
    return JSONResponse({"detail": str(error)}, status_code=405, headers={"Allow": ""})


async def _failed(_: Request, error: InferenceFailed) -> Response:
    log.error("inference failed: %s", error)
    return JSONResponse({"detail": f"The policy gave no usable answer: {error}"}, status_code=500)


async def _unexpected(_: Request, __: Exception) -> Response:
    # uvicorn logs the traceback; the client learns nothing of the inside.
    return JSONResponse({"detail": "Internal server error; the server's log has the cause."}, status_code=500)
