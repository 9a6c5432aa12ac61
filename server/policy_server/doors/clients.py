"""`GET /clients`: SDKs of this server, which were written before; see `policy_server.sdks`."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from policy_server.doors.door import Door, Rejection

_NONE = (
    "No SDK was written for this server: `policyserver up --clients` serves them,"
    " and `policyserver clients` writes them for the URL of any server"
)


class Client(BaseModel):
    """One SDK."""

    language: str
    url: Annotated[str, Field(description="Where it is, as a zip.")]


class Clients(BaseModel):
    """The SDKs that there are."""

    clients: list[Client]


def open_clients(door: Door) -> None:
    """Declares the route; as the API's description, it needs no key."""
    config = door.engine.config
    responses: dict[int | str, Any] = {
        200: {
            "description": "The SDKs that there are; with `language`, that one.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        404: {"model": Rejection, "description": "There is no such SDK."},
    }

    @door.app.get("/clients", response_model=Clients, summary="Get an SDK", tags=["SDKs"], responses=responses)
    def clients(  # in a thread: it looks at the disk
        request: Request,
        language: Annotated[str | None, Query(description="That of the SDK; without it, they are listed.")] = None,
    ) -> Any:
        """Returns an SDK as a zip, or says which there are."""
        found = {file.stem: file for file in _zips(config.clients_directory)}
        if not found:
            raise HTTPException(404, _NONE)
        if language is None:
            base = f"{request.scope['root_path']}/clients?language="
            return Clients(clients=[Client(language=each, url=base + each) for each in found])
        if language not in found:
            raise HTTPException(404, f"No SDK for {language!r}: there are {', '.join(found)}")
        return FileResponse(found[language], media_type="application/zip", filename=f"{config.name}-{language}.zip")


def _zips(folder: Path | None) -> list[Path]:
    return [] if folder is None else sorted(folder.glob("[!.]*.zip"))
