"""The short way of a prediction answers what FastAPI's own path under uvicorn's own protocol answers, byte for byte."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from policy_server.bundle import Categorical
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.serving import Serving
from tests.bundles import config_text, write_linear_bundle
from tests.unit.server.connections import Client, Taken

OBSERVATIONS: list[dict[str, Any]] = [
    {"name": "zebra", "type": "float", "minimum": -5, "maximum": 5},
    {"name": "count", "type": "int"},
    {"name": "flags", "type": "List[bool]", "minItems": 1, "maxItems": 3},
    {"name": "über", "type": "float", "default": 0.5},
]
PATHS = ["/predict/", "/predict", "/p/predict/", "/predict_raw/", "/predict_deterministic/?x=1", "/p/distribution"]
ODD_PATHS = ["/p%2Fpredict/", "//predict/", "/predict//", "/schema", "/nothing", "/p", "*", "/predict/\xe9"]


class Both:
    """One PolicyServer twice, of equal seed: with its short ways, and without."""

    def __init__(self, folder: Path) -> None:
        self.keys = folder / "keys"
        self.keys.mkdir()
        (self.keys / "key").write_text("secret")
        bundle = write_linear_bundle(folder / "bundle", Categorical(size=4), size=5)
        auth = {"auth": "apiKey", "apiKeysDirectory": str(self.keys), "seed": 3, "maxBodyBytes": 4096}
        self._file = folder / "server.json"
        self._file.write_text(config_text(bundle, OBSERVATIONS, urlPath="p", **auth))
        self.registries = CollectorRegistry(), CollectorRegistry()
        self.hosts = [self._host(registry) for registry in self.registries]
        self.short, self.alone = (
            Client(host, short=short) for host, short in zip(self.hosts, (True, False), strict=True)
        )
        self._taken = Taken(self.hosts[0])

    @property
    def taken(self) -> int:
        """How many answers the short ways gave."""
        return self._taken.count

    def _host(self, registry: CollectorRegistry) -> Host:
        host = Host()
        Serving(host, self._file, Metrics(registry)).load()
        return host

    def ask(self, pieces: list[bytes]) -> bytes:
        """Returns what both answer, byte for byte the same."""
        short, alone = self.short.send(pieces), self.alone.send(pieces)
        assert short == alone
        assert self.short.wire.closed == self.alone.wire.closed
        return short

    def close(self) -> None:
        """Ends all."""
        self.short.close()
        self.alone.close()

    def connect(self) -> None:
        """Begins new connections."""
        self.short.connect()
        self.alone.connect()


def message(path: str, headers: list[tuple[bytes, bytes]], body: bytes, start: bytes = b"POST %b HTTP/1.1") -> bytes:
    """Returns a request."""
    lines = [start.replace(b"%b", path.encode("latin-1")), *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join([*lines, b"", body])


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


METHODS = [b"POST %b HTTP/1.1"] * 17 + [b"GET %b HTTP/1.1", b"POST %b HTTP/1.0", b"post %b HTTP/1.1"]
ODD_HEADERS = [
    *((b"connection", value) for value in (b"close", b"keep-alive", b"upgrade")),
    *((b"upgrade", b"websocket"), (b"expect", b"100-continue"), (b"content-length", b"5"), (b"access-token", b"wrong")),
    *((b"transfer-encoding", b"chunked"), (b"content-type", b"text/plain"), (b"bad name", b"x"), (b"x", b"\x00")),
    *((b"content-encoding", b"gzip"), (b"cookie", b"access-token=secret"), (b"X-Request-Id", b"1")),
]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draws a request: mostly a right one, with one thing or another wrong."""
    types = [b"application/json"] * 12 + [b"application/json; charset=utf-8", b"text/plain", b"application/xml", None]
    keys = [b"secret"] * 18 + [b"wrong", None]
    content_type, key = draw(st.sampled_from(types)), draw(st.sampled_from(keys))
    body = draw(bodies())
    headers = [(b"Host", b"localhost"), (b"Content-Length", b"%d" % len(body))]
    headers += [(b"Content-Type", content_type)] if content_type else []
    headers += [(b"Access-Token", key)] if key else [(b"authorization", b"Bearer secret")] * draw(st.integers(0, 1))
    if draw(st.integers(0, 5)) == 0:
        headers.insert(draw(st.integers(0, len(headers))), draw(st.sampled_from(ODD_HEADERS)))
    if draw(st.integers(0, 20)) == 0:
        headers.pop(draw(st.integers(0, len(headers) - 1)))
    path = draw(st.sampled_from(PATHS * 3 + ODD_PATHS))
    return message(path, headers, body, draw(st.sampled_from(METHODS)))


def ordinary(path: str, content: Any) -> bytes:
    """Returns a request as clients send it."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"access-token", b"secret")]
    return message(path, [*headers, (b"content-length", b"%d" % len(body))], body)


# Most of what is drawn at random is wrong in some way; what is right must be well represented too.
ORDINARY = st.builds(ordinary, st.sampled_from(PATHS).filter(lambda path: "raw" not in path), VALID)
RIGHT = ordinary("/p/predict/", {"zebra": 1.5, "count": 2, "flags": [True, False]})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The two applications, kept over all requests: their random numbers must stay in step too."""
    both = Both(tmp_path_factory.mktemp("both"))
    yield both
    both.close()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Both]:
    """The two applications, for a test that changes them."""
    both = Both(tmp_path)
    yield both
    both.close()


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(request=st.one_of(ORDINARY, requests()))
def check_equal(both: Both, request: bytes) -> None:
    both.connect()
    both.ask([request])


@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(stream=st.lists(st.one_of(ORDINARY, ORDINARY, requests()), min_size=1, max_size=4).map(b"".join), data=st.data())
def check_equal_however_cut(both: Both, stream: bytes, data: st.DataObject) -> None:
    both.connect()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    both.ask([stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < end])


def test_ten_thousand_requests_valid_and_not_get_the_very_same_answer(both: Both) -> None:
    check_equal(both)
    assert both.taken > 1000, "the short way was hardly ever taken, so this tells nothing of it"


def test_requests_behind_one_another_and_cut_anywhere_get_the_same_answers_in_their_order(both: Both) -> None:
    before = both.taken
    check_equal_however_cut(both)
    assert both.taken > before + 100


def test_an_ordinary_request_takes_the_short_way_in_one_write(both: Both) -> None:
    both.connect()
    before = both.taken
    assert both.ask([RIGHT]).startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert both.taken == before + 1
    assert both.short.wire.writes == 1


def test_a_head_that_comes_before_its_body_takes_the_short_way(both: Both) -> None:
    both.connect()
    before, end = both.taken, RIGHT.index(b"{")
    assert b"200 OK" in both.ask([RIGHT[:end], RIGHT[end : end + 5], RIGHT[end + 5 :]])
    assert both.taken == before + 1


def test_two_requests_at_once_are_answered_both(both: Both) -> None:
    both.connect()
    assert both.ask([RIGHT + RIGHT]).count(b"200 OK") == 2


def test_both_ways_count_the_same(both: Both) -> None:
    short, alone = (
        {
            (sample.name, *sample.labels.values()): sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name.endswith("_total") or sample.name.endswith("_count")
            if not sample.name.startswith("policyserver_observation_")  # a few a second are looked at, by the clock
        }
        for registry in both.registries
    )
    assert short == alone
    assert short["policyserver_http_requests_total", "test", "/predict/", "200"] > 0


def test_a_key_that_is_taken_back_ends_the_short_way_too(new: Both) -> None:
    assert b"200 OK" in new.ask([RIGHT])
    (new.keys / "key").write_text("another")
    for host in new.hosts:
        keys = host.mounted["/p"].short["/predict/"].keys
        assert keys is not None
        keys.reload()
    assert b"401 Unauthorized" in new.ask([RIGHT])


def test_what_is_mounted_anew_is_what_answers(new: Both, tmp_path: Path) -> None:
    assert b"200 OK" in new.ask([RIGHT])
    taken = new.taken
    other = tmp_path / "other"
    other.mkdir()
    another = Both(other)
    for host, after in zip(new.hosts, another.hosts, strict=True):
        host.mounted = after.mounted
    another.close()
    assert b"200 OK" in new.ask([RIGHT])
    assert new.taken == taken, "the former application answered"


def test_while_draining_every_answer_is_the_last_of_its_connection(new: Both) -> None:
    new.ask([RIGHT])
    new.short.farewell.said = new.alone.farewell.said = True
    assert b"connection: close" in new.ask([RIGHT])


def test_a_request_of_which_a_part_is_here_is_answered_before_the_end(new: Both) -> None:
    end = RIGHT.index(b"{")
    assert new.ask([RIGHT[:end]]) == b""
    for client in (new.short, new.alone):
        assert client.protocol is not None
        client.loop.call_soon(client.protocol.shutdown)
    assert b"connection: close" in new.ask([RIGHT[end:]])


def test_a_connection_on_which_nothing_is_asked_is_closed_after_its_time(new: Both) -> None:
    client = Client(new.hosts[0], short=True, keep_alive_seconds=0.2)
    assert b"200 OK" in client.send([RIGHT])
    assert b"200 OK" in client.send([RIGHT])
    assert not client.wire.closed
    client.wait_for_the_end()
    client.close()


@pytest.mark.parametrize("cut", [None, RIGHT.index(b"{") + 5, 30])
@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_ignored_and_costs_no_body(new: Both, offer: str, cut: int | None) -> None:
    """The JDK's client offers HTTP/2 with every request (RFC 9110, section 7.8)."""
    line = b"POST /p/predict/ HTTP/1.1\r\n"
    offered = f"connection: Upgrade, HTTP2-Settings\r\nupgrade: {offer}\r\nhttp2-settings: AAEA\r\n".encode()
    request = RIGHT.replace(line, line + offered)
    if cut is not None:
        cut += len(offered)
    pieces = [request] if cut is None else [request[:cut], request[cut:]]
    plain = new.alone.send([RIGHT])
    assert new.short.send(pieces) == plain
    assert new.short.send(pieces).count(b"HTTP/1.1 200 OK") == 1, "the connection goes on"


def test_the_body_behind_an_offer_is_never_a_request_of_its_own(new: Both) -> None:
    body = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    headers = [(b"connection", b"Upgrade"), (b"upgrade", b"h2c"), (b"content-length", b"%d" % len(body))]
    answers = new.short.send([message("/p/predict/", headers, b""), body])
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.startswith(b"HTTP/1.1 401 ")
