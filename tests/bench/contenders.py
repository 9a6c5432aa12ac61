"""What is measured: ours, FastAPI and raw ASGI beside it, and the servers that others would take.

All are asked the same: four numbers in, a sampled action out; each in its own protocol's JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEY = "bench-key-0123456789abcdef"
NUMBERS = [0.0273956, -0.0611079, 0.0357665, 0.0197368]
NAMED = dict(zip(["cart_position", "cart_velocity", "pole_angle", "pole_velocity"], NUMBERS, strict=True))
OURS, BASE = "ours", "fastapi"
ROUTED, MODELS = "routed", "routed-models"
"""Routers over policies of one model, whose weights are in the cache whichever is drawn, and over as many models."""


@dataclass(frozen=True)
class Contender:
    """One server.

    Attributes:
        name: what `--peers` calls it.
        title: what the table calls it.
        command: how it is started; `{python}`, `{bin}`, `{folder}`, `{config}`, `{routed}`, `{models}`, `{port}`,
            `{spare}`, `{beyond}` (the port after it) and `{other}` are filled in, in the settings and in `listens` too.
        path: what is requested.
        body: what is sent, as JSON.
        action: finds the action in the answer.
        folder: the folder below `peers` that holds its application and what must be installed.
        package: what its version is told of; None where it runs in this project's own environment.
        python: the oldest Python that its package runs on.
        settings: environment variables.
        headers: what is sent beside the body.
        listens: the port that is asked.
        bar: how many times as many requests per second ours should answer.
    """

    name: str
    title: str
    command: tuple[str, ...]
    path: str
    body: Any
    action: Callable[[Any], Any]
    folder: str = ""
    package: str | None = None
    python: str = "3.11"
    settings: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    listens: str = "{port}"
    bar: float | None = None


_HOST = ("--host", "127.0.0.1", "--port", "{port}")
_UVICORN: tuple[str, ...] = ("{python}", "-m", "uvicorn", *_HOST, "--app-dir", "{folder}")
_UVICORN += ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning", "app:app")
_APP = ("{python}", "{folder}/app.py")
_TENSOR = {"name": "observations", "shape": [1, 4], "datatype": "FP32", "data": NUMBERS}


def _actions(answer: Any) -> Any:
    return answer["actions"][0]


def _ours(name: str, title: str, config: str) -> Contender:
    return Contender(
        name,
        title,
        ("{python}", "-m", "policy_server", "--config", config, *_HOST, "--metrics-port", "{spare}"),
        "/predict/",
        NAMED,
        _actions,
        headers={"access-token": KEY},
    )


def _ray(name: str, title: str, *, listens: str, bar: float | None = None, **settings: str) -> Contender:
    return Contender(
        name,
        title,
        _APP,
        "/policy",
        {"observation": NUMBERS},
        lambda answer: answer["action"],
        "ray_serve",
        "ray",
        settings=settings,
        listens=listens,
        bar=bar,
    )


CONTENDERS = [
    _ours(OURS, "policyserver (keys, validation, metrics)", "{config}"),
    _ours(ROUTED, "policyserver, router over 3, one model", "{routed}"),
    _ours(MODELS, "policyserver, router over 3, three models", "{models}"),
    Contender(BASE, "FastAPI, empty route", _UVICORN, "/empty", NAMED, _actions, "fastapi_empty", bar=1.5),
    Contender(
        "fastapi-body", "FastAPI, body validated, no policy", _UVICORN, "/validated", NAMED, _actions, "fastapi_empty"
    ),
    Contender(
        "raw", "raw ASGI echo: the ceiling", _UVICORN, "/", NAMED, lambda answer: len(answer) - len(NAMED), "raw_asgi"
    ),
    Contender(
        "mlserver",
        "MLServer",
        ("{bin}/mlserver", "start", "{folder}"),
        "/v2/models/mlp/infer",
        {"inputs": [_TENSOR]},
        lambda answer: answer["outputs"][0]["data"][0],
        "mlserver",
        "mlserver",
        # Without a worker process, which for a model this small costs most of the time; `debug` logs every request.
        settings={"MLSERVER_HOST": "127.0.0.1", "MLSERVER_HTTP_PORT": "{port}", "MLSERVER_GRPC_PORT": "{spare}"}
        | {"MLSERVER_METRICS_PORT": "{other}", "MLSERVER_DEBUG": "false", "MLSERVER_PARALLEL_WORKERS": "0"},
        bar=4,
    ),
    Contender(
        "kserve",
        "KServe, Python server",
        _APP,
        "/v1/models/mlp:predict",
        {"instances": [NUMBERS]},
        lambda answer: _actions(answer["predictions"][0]),
        "kserve",
        "kserve",
    ),
    Contender(
        "bentoml",
        "BentoML",
        ("{bin}/bentoml", "serve", "app:Mlp", "--working-dir", "{folder}", *_HOST),
        "/predict",
        {"observation": NUMBERS},
        _actions,
        "bentoml",
        "bentoml",
    ),
    Contender(
        "litserve", "LitServe", _APP, "/predict", {"observation": NUMBERS}, _actions, "litserve", "litserve", bar=8
    ),
    Contender(
        "seldon",
        "Seldon Core, Python wrapper",
        # One thread, the default, closes each connection after its answer.
        (*_APP, "Mlp", "--threads", "10", "--grpc-workers", "0", "--http-port", "{port}", "--metrics-port", "{spare}"),
        "/api/v1.0/predictions",
        {"data": {"names": list(NAMED), "ndarray": [NUMBERS]}},
        lambda answer: int(answer["data"]["ndarray"][0][0]),
        "seldon",
        "seldon-core",
        python="3.12",
        bar=8,
    ),
    _ray("ray", "Ray Serve, RLlib tutorial", listens="{port}", bar=20),
    # The mode's point is that clients reach the replica itself, on a port from this range, and not through a proxy.
    _ray(
        "ray-throughput",
        "Ray Serve, throughput mode, direct",
        listens="{spare}",
        RAY_SERVE_THROUGHPUT_OPTIMIZED="1",
        RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT="{spare}",
        RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT="{beyond}",
    ),
]
