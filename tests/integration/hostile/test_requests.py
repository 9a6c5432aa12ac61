"""Hostile requests to the real process: each is refused with a reason, in little memory, and the next is answered."""

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server_process import OBSERVATION, Server, ask

MEBIBYTE = 1024 * 1024
ALMOST = MEBIBYTE - 256
"""Bytes of a body that is just small enough to be read."""
MOST_MEGABYTES = 120 + 1
"""What the server may hold after a request: its own memory, and one body."""
MOST_AT_ANY_TIME = 120 + 32
"""Objects that JSON's shortest texts become take about thirty times as much as the texts, while they are judged."""
SECONDS = 30
ROUTES = [
    "/predict/", "/predict_deterministic/", "/distribution/", "/predict_raw/", "/predict_batch/",
    "/api/v1.0/predictions", "/api/v1.0/feedback", "/", "/v2/models/test/infer",
]  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """What a server answered before it said no more."""

    status: int
    body: bytes

    @property
    def detail(self) -> object:
        return json.loads(self.body)["detail"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(autouse=True)
def still_well(server: Server) -> Iterator[None]:
    """After each test the server answers, and has never taken much memory."""
    yield
    with closing(server.connect()) as connection:
        assert ask(connection)[0] == 200
    assert megabytes(server, "VmRSS") < MOST_MEGABYTES
    assert megabytes(server, "VmHWM") < MOST_AT_ANY_TIME
    assert "Traceback" not in server.output


def megabytes(server: Server, which: str) -> float:
    """Returns what the process has in memory (VmRSS), or the most that it ever had (VmHWM)."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) / 1024


def send(server: Server, pieces: Iterable[bytes]) -> Refusal:
    """Sends pieces as long as the server takes them, and returns its answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as opened:
        with suppress(ConnectionError):  # it may have heard enough
            for piece in pieces:
                opened.sendall(piece)
        received = b""
        while not _whole(received):
            piece = opened.recv(65_536)
            assert piece, received
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return Refusal(int(head.split()[1]), body)


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths and len(body) >= int(lengths[0]))


def head(route: str, *headers: str) -> bytes:
    lines = [f"POST {route} HTTP/1.1", "Host: test", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def post(server: Server, route: str, body: bytes) -> Refusal:
    return send(server, [head(route, f"Content-Length: {len(body)}"), body])


@pytest.mark.parametrize("route", ROUTES)
def test_a_hundred_megabytes_of_json_are_not_read(server: Server, route: str) -> None:
    length = 100 * MEBIBYTE
    refusal = send(server, [head(route, f"Content-Length: {length}"), *[b'"' + b"a" * (MEBIBYTE - 1)] * 100])
    assert refusal.status == 413
    assert refusal.detail == "The body is larger than 1048576 bytes."


@pytest.mark.parametrize("route", ROUTES)
def test_nor_are_they_where_no_length_is_declared(server: Server, route: str) -> None:
    chunk = b"%x\r\n%b\r\n" % (MEBIBYTE, b" " * MEBIBYTE)
    refusal = send(server, [head(route, "Transfer-Encoding: chunked"), *[chunk] * 100])
    assert (refusal.status, refusal.detail) == (413, "The body is larger than 1048576 bytes.")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"data":{"ndarray":[', b'{"observation":['])
def test_deep_json_is_refused(server: Server, route: str, opening: bytes) -> None:
    refusal = post(server, route, opening * (ALMOST // len(opening)))
    assert 400 <= refusal.status < 500
    assert refusal.detail


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b'"NaN"', b"1e39", b"9" * 4000])
@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/predict/", b'{"a": %b, "b": 1, "c": 2}'),
        ("/predict_raw/", b'{"obs": [%b, 1, 2]}'),
        ("/predict_batch/", b'[{"a": %b, "b": 1, "c": 2}]'),
        ("/", b'{"observation": [%b, 1, 2]}'),
        ("/api/v1.0/predictions", b'{"data": {"ndarray": [[%b, 1, 2]]}}'),
        ("/api/v1.0/predictions", b'{"data": {"tensor": {"shape": [1, 3], "values": [%b, 1, 2]}}}'),
        (
            "/v2/models/test/infer",
            b'{"inputs": [{"name": "observations", "shape": [1, 3], "datatype": "FP32", "data": [%b, 1, 2]}]}',
        ),
    ],
)
def test_what_is_no_finite_number_is_refused(server: Server, route: str, body: bytes, value: bytes) -> None:
    refusal = post(server, route, body % value)
    assert refusal.status in (400, 422), refusal
    assert refusal.detail


@pytest.mark.parametrize("value", [b"{}", b"[]", b"[[[1]]]", b'{"__reduce__": "os.system"}', b'"x"', b'"\\ud800"'])
def test_arrays_of_objects_are_refused(server: Server, value: bytes) -> None:
    for body in (b'{"data": {"ndarray": [[%b, 1, 2]]}}', b'{"data": {"ndarray": %b}}', b'{"data": {"ndarray": [%b]}}'):
        refusal = post(server, "/api/v1.0/predictions", body % value)
        assert refusal.status == 422
        assert refusal.detail


@pytest.mark.parametrize(
    ("route", "begin", "item", "end"),
    [
        ("/predict_batch/", b"[", b"{}", b"]"),
        ("/predict_raw/", b'{"obs":[', b'""', b"]}"),
        ("/", b'{"observation":[', b'""', b"]}"),
        ("/api/v1.0/predictions", b'{"data":{"ndarray":[[', b'""', b"]]}}"),
        ("/api/v1.0/predictions", b'{"data":{"ndarray":[', b"[{}]", b"]}}"),
        ("/api/v1.0/predictions", b'{"data":{"names":[', b"{}", b"]}}"),
        ("/api/v1.0/predictions", b'{"data":{"tensor":{"shape":[1],"values":[', b"{}", b"]}}}"),
        ("/v2/models/test/infer", b'{"inputs":[', b"{}", b"]}"),
        (
            "/v2/models/test/infer",
            b'{"inputs":[{"name":"observations","datatype":"FP32","shape":[1,3],"data":[',
            b'""',
            b"]}]}",
        ),
    ],
)
def test_very_many_errors_make_a_short_answer(
    server: Server, route: str, begin: bytes, item: bytes, end: bytes
) -> None:
    count = (ALMOST - len(begin) - len(end)) // (len(item) + 1)
    refusal = post(server, route, begin + b",".join([item] * count) + end)
    assert refusal.status == 422
    assert refusal.detail
    assert len(refusal.body) < 200_000


def test_a_large_body_is_not_echoed_once_for_each_missing_key(server: Server) -> None:
    refusal = post(server, "/predict/", b'{"x": "%b"}' % (b"a" * ALMOST))
    assert (refusal.status, len(refusal.body) < 65_536) == (422, True)
    assert [error["loc"][-1] for error in refusal.detail] == ["a", "b", "c"]  # type: ignore[attr-defined]  # a list


def test_shapes_without_values_take_no_memory(server: Server) -> None:
    large = 2**31 - 1
    tensor = {"data": {"tensor": {"shape": [large, large], "values": []}}}
    assert post(server, "/api/v1.0/predictions", json.dumps(tensor).encode()).status == 422
    given = {"name": "observations", "datatype": "FP32", "shape": [large, 3], "data": [], "parameters": {}}
    assert post(server, "/v2/models/test/infer", json.dumps({"inputs": [given]}).encode()).status in (400, 422)


@pytest.mark.parametrize(
    "body", [b'{"a": "\xff\xfe", "b": 1, "c": 2}', b"\xff" * 100, b'"\xed\xa0\x80"', b"\x00" * 100]
)
@pytest.mark.parametrize("route", ROUTES)
def test_what_is_no_utf_8_is_refused(server: Server, route: str, body: bytes) -> None:
    refusal = post(server, route, body)
    assert refusal.status in (400, 422)
    assert refusal.detail


def test_of_duplicate_keys_the_last_one_counts(server: Server) -> None:
    """As JSON parsers have it; nothing else of the request is read twice."""
    refusal = post(server, "/predict/", b'{"a": 1, "b": 1, "c": 2, "a": "x"}')
    assert refusal.status == 422
    assert post(server, "/predict/", b'{"a": "x", "b": 1, "c": 2, "a": 1}').status == 200


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: [b"POST /predict/ HTTP/1.1\r\nX-Long: ", *[b"a" * MEBIBYTE] * 100],
        lambda: [b"POST /predict/ HTTP/1.1\r\n", *[b"X-A: b\r\n" * (MEBIBYTE // 8)] * 100],
        lambda: [b"GET / HTTP/1.1\r\n", *[b"X-A: b\r\n" * (MEBIBYTE // 8)] * 100],
        lambda: [b"GET /", *[b"a" * MEBIBYTE] * 100],
        lambda: [head("/predict/", "Transfer-Encoding: chunked"), b"1;", *[b"a" * MEBIBYTE] * 100],
        lambda: [
            head("/predict/", "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\n",
            *[b"X-A: b\r\n" * (MEBIBYTE // 8)] * 100,
        ],
    ],
    ids=["one long header", "many headers", "many headers of a GET", "a long path", "chunk extensions", "trailers"],
)
def test_heads_and_trailers_are_bounded(server: Server, pieces: Callable[[], list[bytes]]) -> None:
    refusal = send(server, pieces())
    assert (refusal.status, refusal.detail) == (431, "The headers are larger than 65536 bytes.")


def test_a_body_in_very_small_chunks_is_none_of_that(server: Server) -> None:
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in (OBSERVATION + " " * 30_000).encode())
    assert send(server, [head("/predict/", "Transfer-Encoding: chunked"), body, b"0\r\n\r\n"]).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -5"],
        ["Content-Length: " + "9" * 5000],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Content-Length: 0x10"],
    ],
    ids=["negative", "very long", "two", "both", "hexadecimal"],
)
def test_lengths_that_others_may_read_otherwise_are_refused(server: Server, headers: list[str]) -> None:
    """Behind a proxy that reads them in another way, the rest of the body would be somebody else's request."""
    assert send(server, [head("/predict/", *headers), b"{}"]).status == 400


def test_slow_bodies_keep_nobody_else_waiting(server: Server) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) for _ in range(200)]
    try:
        for at, one in enumerate(slow):
            one.sendall(head("/predict/", f"Content-Length: {len(OBSERVATION)}") + OBSERVATION[: at % 20].encode())
        with closing(server.connect()) as connection:
            assert ask(connection)[0] == 200
        for at, one in enumerate(slow):
            one.sendall(OBSERVATION[at % 20 :].encode())
        assert all(one.recv(65_536).startswith(b"HTTP/1.1 200 OK") for one in slow)
    finally:
        for one in slow:
            one.close()
