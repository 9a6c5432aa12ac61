"""The short way of a prediction answers what FastAPI's own path answers, byte for byte."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from policy_server.app import create_app
from policy_server.auth import ApiKeys
from policy_server.bundle import Categorical
from policy_server.config import ServerConfig
from policy_server.engine import Engine
from policy_server.host import Mounted
from policy_server.metrics import Metrics
from tests.bundles import config_text, write_linear_bundle

OBSERVATIONS: list[dict[str, Any]] = [
    {"name": "zebra", "type": "float", "minimum": -5, "maximum": 5},
    {"name": "count", "type": "int"},
    {"name": "flags", "type": "List[bool]", "minItems": 1, "maxItems": 3},
    {"name": "über", "type": "float", "default": 0.5},
]
PATHS = ["/predict/", "/predict", "/p/predict/", "/predict_raw/", "/predict_deterministic/", "/p/distribution"]

Answered = tuple[int, list[tuple[bytes, bytes]], bytes]


class Both:
    """One PolicyServer twice, of equal seed: with its short ways, and with FastAPI alone."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        keys = folder / "keys"
        keys.mkdir()
        (keys / "key").write_text("secret")
        bundle = write_linear_bundle(folder / "bundle", Categorical(size=4), size=5)
        auth = {"auth": "apiKey", "apiKeysDirectory": str(keys), "seed": 3, "maxBodyBytes": 4096}
        config = ServerConfig.model_validate_json(config_text(bundle, OBSERVATIONS, **auth | changes))
        self.taken = 0
        self._short, self._alone = (self._mounted(config, keys, short=short) for short in (True, False))

    def _mounted(self, config: ServerConfig, keys: Path, *, short: bool) -> Mounted:
        metrics = Metrics(CollectorRegistry())
        app, ways = create_app(Engine.load(config), ApiKeys(keys), metrics)
        if short:
            for way in ways.values():
                way.take = self._counting(way.take)  # type: ignore[method-assign]
        return Mounted(config.name, app, ways if short else {}, metrics)

    def _counting(self, take: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*arguments: Any) -> Any:
            again = await take(*arguments)
            self.taken += again is None
            return again

        return counted

    def ask(self, *request: Any) -> tuple[Answered, Answered]:
        """Returns both answers to a request."""
        return asyncio.run(answer(self._short, *request)), asyncio.run(answer(self._alone, *request))


async def answer(mounted: Mounted, path: str, headers: list[tuple[bytes, bytes]], pieces: list[bytes]) -> Answered:
    """Asks an ASGI application; the body comes in pieces."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await mounted(scope, receive, send, "/p" if path.startswith("/p/") else "")
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], list(sent[0]["headers"]), body


NUMBERS = st.one_of(
    st.floats(-6, 6),
    st.floats(),
    st.integers(-10, 10),
    st.integers(),
    st.sampled_from([10**400, -0.0, 1e39, 3.4028235e38, 5e-324, True, "1", " 2.5 ", "1_0", "x", None]),
)
FLAGS = st.lists(st.one_of(st.booleans(), st.integers(0, 2), st.sampled_from(["yes", "off", 1.0, None])), max_size=5)
VALID = st.fixed_dictionaries(
    {
        "zebra": st.floats(-5, 5),
        "count": st.integers(-1000, 1000),
        "flags": st.lists(st.booleans(), min_size=2, max_size=2),
    },
    optional={"über": st.floats(-10, 10), "extra": st.text(max_size=5)},
)
ODD = st.fixed_dictionaries(
    {},
    optional={"zebra": NUMBERS, "count": NUMBERS, "flags": st.one_of(FLAGS, NUMBERS), "über": NUMBERS, "extra": FLAGS},
)
RAW = st.fixed_dictionaries({"obs": st.lists(NUMBERS, min_size=4, max_size=6)})
JSON = st.recursive(NUMBERS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draws a body: mostly JSON, sometimes cut, doubled, or in another encoding."""
    content = draw(st.one_of(*[VALID] * 5, RAW, RAW, ODD, JSON))
    text = json.dumps(content, ensure_ascii=draw(st.booleans()))
    match draw(st.sampled_from(range(30))):
        case 0:
            return text[: draw(st.integers(0, len(text)))].encode("utf-8", "surrogatepass")
        case 1:
            return text.encode(draw(st.sampled_from(["utf-16", "utf-8-sig", "utf-32"])), "surrogatepass")
        case 2:
            return text.replace("{", '{"zebra": 1, ', 1).encode("utf-8", "surrogatepass")
        case 3:
            return draw(st.binary(max_size=40))
        case 4:
            return (" " * draw(st.integers(0, 5000)) + text).encode("utf-8", "surrogatepass")
        case _:
            return text.encode("utf-8", "surrogatepass")


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, list[tuple[bytes, bytes]], list[bytes]]:
    """Draws a path, headers, and a body in pieces."""
    types = [b"application/json"] * 12 + [b"application/json; charset=utf-8", b"text/plain", b"application/xml", None]
    keys = [b"secret"] * 18 + [b"wrong", None]
    content_type, key = draw(st.sampled_from(types)), draw(st.sampled_from(keys))
    headers = [(b"host", b"localhost")]
    headers += [(b"content-type", content_type)] if content_type else []
    headers += [(b"access-token", key)] if key else [(b"authorization", b"Bearer secret")] * draw(st.integers(0, 1))
    body = draw(bodies())
    cut = draw(st.sampled_from([*[None] * 9, len(body) // 2]))
    return draw(st.sampled_from(PATHS)), headers, [body] if cut is None else [body[:cut], body[cut:]]


ORDINARY_HEADERS = [(b"content-type", b"application/json"), (b"access-token", b"secret")]
# Most of what is drawn at random is wrong in some way; what is right must be well represented too.
ORDINARY = st.tuples(
    st.sampled_from(PATHS).filter(lambda path: "raw" not in path),
    st.just(ORDINARY_HEADERS),
    VALID.map(lambda content: [json.dumps(content).encode()]),
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The two applications, kept over all requests: their random numbers must stay in step too."""
    return Both(tmp_path_factory.mktemp("both"))


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(request=st.one_of(ORDINARY, requests()))
def check_equal(both: Both, request: tuple[str, list[tuple[bytes, bytes]], list[bytes]]) -> None:
    short, alone = both.ask(*request)
    assert short == alone


def test_ten_thousand_requests_valid_and_not_get_fastapis_own_answer(both: Both) -> None:
    check_equal(both)
    assert both.taken > 1000, "the short way was hardly ever taken, so this tells nothing of it"


def test_an_ordinary_request_takes_the_short_way(both: Both) -> None:
    before = both.taken
    body = json.dumps({"zebra": 1.5, "count": 2, "flags": [True, False]}).encode()
    short, alone = both.ask("/p/predict/", ORDINARY_HEADERS, [body])
    assert short == alone
    assert short[0] == 200
    assert both.taken == before + 1
