"""The page at `/ui`, on which people try a policy: a few static files, which ask what every client may ask."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parents[1] / "page"
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    # Only what the server itself serves is loaded, asked and run; nothing is shown inside another's page.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'self'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # after an upgrade nobody sees the former page
}


def open_page(app: FastAPI) -> None:
    """Declares the page and its files; they hold nothing of the policy, so that they need no key."""
    for file in sorted(FOLDER.iterdir()):
        path = "/ui" if file.suffix == ".html" else f"/ui/{file.name}"
        app.add_route(path, _answer(file.read_bytes(), _TYPES[file.suffix]), ["GET"], include_in_schema=False)


def _answer(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        # Its links lead on from here, whatever stands in front of the server and under whatever path.
        slash = request.scope.get("raw_path", b"").endswith(b"/")
        return Response(content.replace(b"{base}", b"../" if slash else b"./"), 200, _HEADERS, media_type)

    return answer
