"""What `up` tells the routers of a machine, and where they keep what they learn."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policy_operator.api import parse
from policy_operator.local_routing import forget, learned_file, write_routing
from policy_operator.manifests import Resolved
from policy_operator.server_config import resolve_schema
from policy_server.config import RoutingConfig
from tests.routing_cases import routed

Make = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path / "home"


def resolved(document: dict[str, Any], password: str | None = None) -> Resolved:
    server = parse(document)
    return Resolved(server, resolve_schema(server, None), "mouse", (), store_password=password)


def followed(routing: RoutingConfig) -> Any:
    """What the router reads."""
    return json.loads(routing.settings.read_text())


def test_what_is_learned_is_kept_in_the_users_own_folder(
    document: Make, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = resolved(document(**routed(mode="UCB1"), replicas=3))
    routing = write_routing(one, tmp_path, None)
    assert routing.store.path == home / ".local" / "state" / "policyserver" / "lab.mouse.db"
    assert routing.store.redis is None
    assert routing.store.path.parent.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    assert write_routing(one, tmp_path, None).store.path == tmp_path / "states" / "policyserver" / "lab.mouse.db"


def test_an_edit_changes_what_the_router_follows_and_not_where_that_is(document: Make, tmp_path: Path) -> None:
    first = write_routing(resolved(document(**routed(mode="EpsilonGreedy"))), tmp_path, None)
    assert followed(first)["router"]["mode"] == "EpsilonGreedy"
    second = write_routing(resolved(document(**routed(mode="EpsilonGreedy", epsilon=0.5))), tmp_path, None)
    assert second == first
    assert followed(first)["router"]["epsilon"] == 0.5


def test_a_redis_that_is_named_is_used_with_the_password_of_its_secret(document: Make, tmp_path: Path) -> None:
    redis = {"url": "redis://valkey:1/2", "passwordSecret": {"name": "valkey"}}
    one = resolved(document(**routed(mode="UCB1", store={"redis": redis})), "cheese")
    store = write_routing(one, tmp_path, None).store
    assert (store.path, store.redis, store.prefix) == (None, "redis://valkey:1/2", "lab/mouse")
    assert store.password_file is not None
    assert store.password_file.read_text() == "cheese"


@pytest.mark.parametrize(("asked", "rate"), [(None, 1.0), ({"sampleRate": 0.25}, 0.25)])
def test_a_file_for_decisions_asks_for_them(
    document: Make, tmp_path: Path, asked: dict[str, float] | None, rate: float
) -> None:
    spec = routed(mode="UCB1", **({"decisionLog": asked} if asked else {}))
    routing = write_routing(resolved(document(**spec)), tmp_path, tmp_path / "log")
    assert routing.decision_log == tmp_path / "log"
    assert followed(routing)["router"]["decisionLog"] == {"sampleRate": rate}


def test_without_a_file_only_what_asks_for_a_log_has_one(document: Make, tmp_path: Path) -> None:
    assert "decisionLog" not in followed(write_routing(resolved(document(**routed(mode="UCB1"))), tmp_path, None))


def test_what_was_learned_can_be_forgotten(document: Make, tmp_path: Path) -> None:
    one = resolved(document(**routed(mode="UCB1")))
    write_routing(one, tmp_path, None)
    files = [learned_file(one.server).with_name(f"lab.mouse.db{end}") for end in ("", "-wal", "-shm")]
    other = learned_file(one.server).with_name("lab.mouse2.db")
    for file in (*files, other):
        file.touch()
    forget(one.server)
    assert [file.exists() for file in (*files, other)] == [False, False, False, True]
    forget(one.server)
