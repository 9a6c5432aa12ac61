"""Keeps what a process serves in step with its configuration files and keys, without dropping a request."""

import asyncio
import logging
from pathlib import Path

from pydantic import ValidationError

from policy_server.app import create_app
from policy_server.auth import ApiKeys
from policy_server.config import ServerConfig
from policy_server.engine import Engine
from policy_server.errors import ConfigError, PolicyServerError
from policy_server.host import Host, Mounted
from policy_server.metrics import Metrics

log = logging.getLogger(__name__)


class Serving:
    """Loads each configuration file of a folder (or one file) and mounts what it describes.

    Files are compared by content: Kubernetes replaces mounted ConfigMaps and Secrets by moving a link, which
    leaves time stamps and inodes that say little.
    """

    def __init__(self, host: Host, path: Path, metrics: Metrics) -> None:
        self._host = host
        self._path = path
        self._metrics = metrics
        self._texts: dict[Path, bytes] = {}
        self._prefixes: dict[Path, str] = {}
        self._keys: dict[Path, ApiKeys] = {}

    def load(self) -> None:
        """Mounts everything.

        Raises:
            PolicyServerError: something can't be served, so nothing is.
        """
        texts = self._read()
        if not texts:
            raise ConfigError(f"no configuration in {self._path}")
        for file, text in texts.items():
            self._mount(file, text)
        self._texts = texts

    async def follow(self, seconds: float = 0.5) -> None:
        """Mounts what changes, until cancelled. What can't be loaded is logged and leaves the former in place."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self._follow_once)
            except OSError as error:
                log.error("can't read the configuration: %s; serving goes on as it was", error)

    def _follow_once(self) -> None:
        for keys in self._keys.values():
            keys.reload()
        texts = self._read()
        for file in self._texts.keys() - texts.keys():
            self._unmount(file)
        for file, text in texts.items():
            if self._texts.get(file) != text:
                try:
                    self._mount(file, text)
                except PolicyServerError as error:
                    log.error("%s; serving goes on as it was", error)
        self._texts = texts

    def _read(self) -> dict[Path, bytes]:
        files = sorted(self._path.glob("*.json")) if self._path.is_dir() else [self._path]
        try:
            return {file: file.read_bytes() for file in files}
        except FileNotFoundError as error:
            raise ConfigError(f"no configuration: {error}") from None

    def _mount(self, file: Path, text: bytes) -> None:
        try:
            config = ServerConfig.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{file}: {where}: {first['msg']}") from None
        prefix = f"/{config.url_path}"
        if any(other != file and taken == prefix for other, taken in self._prefixes.items()):
            raise ConfigError(f"{file}: {prefix} is served already")
        keys = ApiKeys(config.api_keys_directory) if config.api_keys_directory else None
        engine = Engine.load(config)
        for warning in engine.warnings:
            log.warning("%s: %s", config.name, warning)
        mounted = Mounted(config.name, *create_app(engine, keys, self._metrics), self._metrics)
        self._unmount(file, but=prefix)
        self._host.mounted = {**self._host.mounted, prefix: mounted}
        self._prefixes[file] = prefix
        if keys:
            self._keys[file] = keys
        digest = engine.policy.manifest.model_sha256
        log.info("%s serves model %s under %s/", config.name, digest[:12], prefix)

    def _unmount(self, file: Path, but: str | None = None) -> None:
        prefix = self._prefixes.pop(file, None)
        self._keys.pop(file, None)
        if prefix is not None and prefix != but:
            self._host.mounted = {path: mounted for path, mounted in self._host.mounted.items() if path != prefix}
            log.info("%s/ is no longer served", prefix)
