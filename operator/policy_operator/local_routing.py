"""What the routers of one machine are told, and where they keep what they learn."""

from pathlib import Path

from policy_operator.api import PolicyServer
from policy_operator.local_files import replace, state_folder
from policy_operator.manifests import Resolved
from policy_operator.server_config import SharedStore, router_settings, store_of
from policy_server.config import DecisionLog, RoutingConfig, StoreConfig


def name_of(server: PolicyServer) -> str:
    """The name of a PolicyServer's files."""
    return ".".join(server.key)


def named_store(server: PolicyServer) -> SharedStore | None:
    """The Redis that the PolicyServer names; the one that an operator would run isn't here, nor are its replicas."""
    shared = store_of(server)
    return None if shared is None or shared.own else shared


def learned_file(server: PolicyServer) -> Path:
    """Where its router keeps what it learns, unless that is in a Redis."""
    return state_folder() / f"{name_of(server)}.db"


def write_routing(one: Resolved, folder: Path, decision_log: Path | None) -> RoutingConfig:
    """Writes what the router follows into a folder; what is returned changes only with where things are.

    A file for decisions is written to whether the PolicyServer asks for a log or not.
    """
    server = one.server
    settings = router_settings(server)
    if decision_log is not None and settings.router.decision_log is None:
        router = settings.router.model_copy(update={"decision_log": DecisionLog()})
        settings = settings.model_copy(update={"router": router})
    file = folder / f"{name_of(server)}.json"
    replace(file, settings.model_dump_json(by_alias=True, exclude_none=True, indent=2))
    shared = named_store(server)
    if shared is None:
        learned = learned_file(server)
        # What is in it seals ids: it is this user's alone.
        learned.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = StoreConfig(path=learned)
    else:
        password = None
        if one.store_password is not None:
            password = folder / f"{name_of(server)}.password"
            replace(password, one.store_password)
        store = StoreConfig(redis=shared.url, password_file=password, prefix="/".join(server.key))
    return RoutingConfig(settings=file, store=store, decision_log=decision_log)


def forget(server: PolicyServer) -> None:
    """Removes what its router has learned on this machine."""
    for suffix in ("", "-wal", "-shm"):  # SQLite's
        learned_file(server).with_name(f"{learned_file(server).name}{suffix}").unlink(missing_ok=True)
