"""Keeps what a process serves in step with its configuration files and keys, without dropping a request."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from policy_server.app import create_app
from policy_server.auth import ApiKeys
from policy_server.config import ServerConfig, first_problem
from policy_server.deciding import Alone
from policy_server.engines import Engines
from policy_server.errors import ConfigError, PolicyServerError
from policy_server.host import Host, Mounted
from policy_server.metrics import Metrics
from policy_server.router.sqlite_store import SqliteStore
from policy_server.routing.opening import EmbeddedStore, open_routing
from policy_server.routing.routing import Routing
from policy_server.routing.upkeep import Upkeep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """One configuration file, loaded."""

    text: bytes
    config: ServerConfig
    prefix: str
    mounted: Mounted
    keys: ApiKeys | None
    upkeep: Upkeep | None


class Serving:
    """Loads each configuration file of a folder (or one file) and mounts what it describes.

    Files are compared by content: Kubernetes replaces mounted ConfigMaps and Secrets by moving a link, which
    leaves time stamps and inodes that say little.
    """

    def __init__(
        self,
        host: Host,
        path: Path,
        metrics: Metrics,
        engines: Engines | None = None,
        embedded_store: EmbeddedStore = SqliteStore,
    ) -> None:
        self._host = host
        self._path = path
        self._tallies = metrics.tallies
        self._engines = engines or Engines()
        self._embedded_store = embedded_store
        self._kept_up: dict[Upkeep, asyncio.Task[None]] = {}
        self._seen: dict[Path, bytes] = {}
        self._served: dict[Path, Served] = {}
        self._trouble = ""

    def load(self) -> None:
        """Mounts everything.

        Raises:
            PolicyServerError: something can't be served, so nothing is.
        """
        self._seen = self._read()
        if not self._seen:
            raise ConfigError(f"no configuration in {self._path}")
        if conflicts := self._mount({file: self._loaded(file, text) for file, text in self._seen.items()}):
            raise ConfigError("; ".join(conflicts))

    async def follow(self, seconds: float = 0.5) -> None:
        """Mounts what changes, until cancelled. What can't be loaded is logged and leaves the former in place."""
        try:
            while True:
                self._keep_up()
                await asyncio.sleep(seconds)
                try:
                    await asyncio.to_thread(self._follow_once)
                    self._trouble = ""
                except Exception as error:
                    if str(error) != self._trouble:
                        self._trouble = str(error)
                        foreseen = isinstance(error, PolicyServerError | OSError)
                        log.error("%s; serving goes on as it was", error, exc_info=None if foreseen else error)
        finally:
            tasks = list(self._kept_up.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _keep_up(self) -> None:
        """Has the routers that are served kept up, and the others ended."""
        wanted = [served.upkeep for served in self._served.values() if served.upkeep]
        for upkeep in self._kept_up.keys() - set(wanted):
            self._kept_up.pop(upkeep).cancel()
        for upkeep in wanted:
            if upkeep not in self._kept_up:
                self._kept_up[upkeep] = asyncio.create_task(upkeep.run())

    def _follow_once(self) -> None:
        for served in self._served.values():
            if served.keys:
                served.keys.reload()
        texts = self._read()
        if texts == self._seen:
            return
        self._seen = texts
        loaded: dict[Path, Served] = {}
        for file, text in texts.items():
            try:
                loaded[file] = self._loaded(file, text)
            except PolicyServerError as error:
                log.error("%s; serving goes on as it was", error)
                if file in self._served:
                    loaded[file] = self._served[file]
        for conflict in self._mount(loaded):
            log.error(conflict)
        self._engines.keep([served.config for served in self._served.values()])

    def _read(self) -> dict[Path, bytes]:
        if not self._path.is_dir():
            try:
                return {self._path: self._path.read_bytes()}
            except FileNotFoundError as error:
                raise ConfigError(f"no configuration: {error}") from None
        texts = {}
        # Hidden files are those that are being written.
        for file in sorted(self._path.glob("[!.]*.json")):
            with suppress(FileNotFoundError):  # removed since it was listed
                texts[file] = file.read_bytes()
        return texts

    def _loaded(self, file: Path, text: bytes) -> Served:
        served = self._served.get(file)
        if served is not None and served.text == text:
            return served
        try:
            config = ServerConfig.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(f"{file}: {first_problem(error)}") from None
        keys = ApiKeys(config.api_keys_directory) if config.api_keys_directory else None
        decider, upkeep = self._decider(config)
        mounted = Mounted(config.name, *create_app(decider, keys, self._tallies), self._tallies)
        return Served(text, config, f"/{config.url_path}", mounted, keys, upkeep)

    def _decider(self, config: ServerConfig) -> tuple[Alone | Routing, Upkeep | None]:
        """Returns what answers, and what must be done for it meanwhile."""
        if config.routing:
            routing, upkeep = open_routing(
                config, self._tallies, load=self._engines.load, embedded_store=self._embedded_store
            )
            for warning in routing.policies.warnings:
                log.warning("%s: %s", config.name, warning)
            names = ", ".join(engine.name for engine in routing.policies.loaded)
            log.info("%s routes among %s under /%s/", config.name, names, config.url_path)
            return routing, upkeep
        engine = self._engines.load(config, config.policies[0])
        for warning in engine.warnings:
            log.warning("%s: %s", config.name, warning)
        digest = engine.policy.manifest.model_sha256
        log.info("%s serves model %s under /%s/", config.name, digest[:12], config.url_path)
        return Alone(engine, self._tallies), None

    def _mount(self, loaded: dict[Path, Served]) -> list[str]:
        """Serves just these, from one moment to the next; returns what it leaves out because its path is taken."""
        mounted: dict[str, Mounted] = {}
        served: dict[Path, Served] = {}
        conflicts = []
        for file, one in loaded.items():
            if one.prefix in mounted:
                conflicts.append(f"{file}: {one.prefix}/ is served already")
            else:
                mounted[one.prefix] = one.mounted
                served[file] = one
        for prefix in self._host.mounted.keys() - mounted.keys():
            log.info("%s/ is no longer served", prefix)
        self._host.mounted = mounted
        self._served = served
        return conflicts
