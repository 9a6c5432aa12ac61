"""Does on one machine what the operator does in a cluster: imports, configures, starts the server, follows edits.

The server is the one that pods run, in a process of its own, told by the same configuration.
"""

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from policy_operator.api_policies import Policy, answering
from policy_operator.errors import InvalidManifestsError, PolicyOperatorError, ProcessFailed
from policy_operator.local_clients import with_clients
from policy_operator.local_files import cache_folder, replace
from policy_operator.local_routing import forget, name_of, named_store, write_routing
from policy_operator.manifests import STDIN, Resolved, read
from policy_operator.server_config import conversion_options, server_config
from policy_operator.server_programs import run_program
from policy_server.config import MODEL_CREDENTIALS, RayConfig, ServerConfig

POLL_SECONDS = 0.5
EXIT_BAD_INPUT = 2
Report = Callable[[str], None]


class LocalEngine(StrEnum):
    """What runs the policies on this machine."""

    IN_PROCESS = "in-process"
    RAY = "ray"


@dataclass(frozen=True)
class Endpoint:
    """Where the server listens."""

    host: str
    port: int
    metrics_port: int
    processes: int = 1
    """How many processes share the port."""

    @property
    def url(self) -> str:
        """How this machine reaches it."""
        here = self.host in ("0.0.0.0", "127.0.0.1", "::")  # noqa: S104 -- compared, not bound
        return f"http://{'localhost' if here else self.host}:{self.port}"


class LocalServer:
    """The PolicyServers of some files, served from this machine."""

    def __init__(
        self,
        files: Sequence[str | Path],
        endpoint: Endpoint,
        report: Report,
        seed: int | None = None,
        decision_log: Path | None = None,
        with_clients: bool = False,
        engine: LocalEngine | None = None,
    ) -> None:
        self._files = files
        self._engine = engine
        self._stdin = sys.stdin.read() if STDIN in map(str, files) else ""  # it can't be read again after an edit
        self._endpoint = endpoint
        self._report = report
        self._seed = seed
        self._decision_log = decision_log
        self._with_clients = with_clients
        self._bundles = cache_folder() / "bundles"
        self._state = Path(tempfile.mkdtemp(prefix="policyserver-"))  # only this user can look inside: it holds keys
        self._process: subprocess.Popen[bytes] | None = None
        self._served: dict[str, Resolved] = {}
        self._imported: dict[str, Path] = {}

    def start(self, *, anew: bool = False) -> list[Resolved]:
        """Imports and serves everything; returns what is served once it answers.

        Args:
            anew: whether routers forget what they learned before.

        Raises:
            PolicyOperatorError: something is wrong in the files, or a process failed and has said why.
        """
        self._require_free_ports()
        served = self._configure()
        routed = [one.server for one in served if one.server.is_routed]
        if self._decision_log is not None and not routed:
            raise InvalidManifestsError(["--decision-log writes what routers decide; no PolicyServer has policies"])
        for server in routed if anew else []:
            if shared := named_store(server):
                self._report(f"{server}: --forget leaves alone what others may use, too: the store at {shared.url}")
            else:
                forget(server)
        self._start_process()
        self._wait_until_ready()
        return served

    def configurations(self) -> list[Path]:
        """Imports everything; returns the configuration of each PolicyServer, as a file that `stop` removes.

        Raises:
            PolicyOperatorError: something is wrong in the files, or a process failed and has said why.
        """
        return [self._configuration(name_of(one.server)) for one in self._configure()]

    def follow(self) -> None:
        """Serves until the process is interrupted; takes up edits, and starts the server anew should it die."""
        seen = self._contents()
        while True:
            time.sleep(POLL_SECONDS)
            if self._process and (code := self._process.poll()) is not None:
                if code == EXIT_BAD_INPUT:  # it has said why, and would say it again
                    raise ProcessFailed(code)
                self._report(f"the server ended with exit code {code}; starting it again")
                self._start_process()
            if (contents := self._contents()) != seen:
                seen = contents
                try:
                    self._configure()
                except ProcessFailed:
                    self._report("the edit is not served; what was served before goes on")
                except PolicyOperatorError as error:
                    self._report(f"{error}\nthe edit is not served; what was served before goes on")

    def stop(self) -> None:
        """Ends the server, lets requests under way finish, and removes what was written but the imported bundles."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self._state, ignore_errors=True)

    def _require_free_ports(self) -> None:
        """Fails before a long import, and before another process that listens there is taken for ours."""
        for port in (self._endpoint.port, self._endpoint.metrics_port):
            try:
                socket.create_server((self._endpoint.host, port)).close()
            except OSError as error:
                reason = (error.strerror or str(error)).partition(" (while")[0]
                raise PolicyOperatorError(
                    f"port {port} of {self._endpoint.host}: {reason}; choose another with --port and --metrics-port"
                ) from None

    def _contents(self) -> list[bytes]:
        return [Path(file).read_bytes() if Path(file).is_file() else b"" for file in self._files]

    def _configure(self) -> list[Resolved]:
        """Imports what is new, then writes each server's configuration in one step; the server follows it."""
        manifests = read(self._files, io.StringIO(self._stdin))
        for warning in manifests.warnings:
            self._report(f"warning: {warning}")
        resolved = manifests.resolve()
        if not resolved:
            raise InvalidManifestsError([f"{', '.join(map(str, self._files))}: there is no PolicyServer"])
        imported = {name_of(one.server): self._import(one) for one in resolved}
        wanted = {name_of(one.server): one for one in resolved}
        for name, one in wanted.items():
            keys = self._write_keys(name, one.api_keys)
            routing = None
            if one.server.is_routed:
                routing = write_routing(one, self._state / "router", self._decision_log)
            config = server_config(one.server, one.schema, imported[name], keys, routing)
            config = config.model_copy(update={"seed": self._seed, "ray": self._ray(config)})
            if self._with_clients or one.server.clients:
                folder, url = self._state / "clients" / name, self._endpoint.url
                languages = None if self._with_clients else one.server.clients
                config = with_clients(config, folder, url, languages)
            replace(self._configuration(name), config.model_dump_json(by_alias=True, indent=2))
        for name in self._served.keys() - wanted.keys():
            self._configuration(name).unlink()
        self._served = wanted
        return resolved

    def _ray(self, config: ServerConfig) -> RayConfig | None:
        """Returns what the server is told of Ray."""
        if self._engine is None:
            return config.ray
        return (config.ray or RayConfig()) if self._engine == LocalEngine.RAY else None

    def _configuration(self, name: str) -> Path:
        return self._state / "config" / f"{name}.json"

    def _write_keys(self, name: str, keys: Sequence[str]) -> Path:
        folder = self._state / "keys" / name
        folder.mkdir(parents=True, exist_ok=True)
        for index, key in enumerate(keys):
            replace(folder / str(index), key)
        for path in folder.iterdir():
            if int(path.name) >= len(keys):
                path.unlink()
        return folder

    def _import(self, one: Resolved) -> dict[str, Path]:
        """Returns the bundle of each policy; where a router has others left, there need not be one at its path."""
        bundles: dict[str, Path] = {}
        failures: dict[str, ProcessFailed] = {}
        for policy in one.server.policies:
            try:
                bundles[policy.name] = self._bundle(one, policy)
            except ProcessFailed as error:
                failures[policy.name] = error
                bundles[policy.name] = self._state / "not-imported"
        left = [policy for policy in answering(one.server.policies) if policy.name not in failures]
        for name, failed in failures.items():
            if not left:
                raise failed
            self._report(f"{one.server}: policy {name} is left out; after an edit it is tried again")
        return bundles

    def _bundle(self, one: Resolved, policy: Policy) -> Path:
        """Imports a model unless this run has: what was served first under a URI goes on being served."""
        uri, schema = policy.model_uri, one.schema.schema
        # What decides how a model is converted; its observations are checked when it is loaded.
        options = conversion_options(policy)
        kind = json.dumps([uri, policy.sha256, schema.discrete, schema.tuple, options])
        if kind not in self._imported:
            with tempfile.TemporaryDirectory(dir=self._state) as folder:
                source = Path(folder) / "source"
                given = self._fetch_options(one, policy, Path(folder))
                fetched = json.loads(run_program("importers", "fetch", uri, "--output", str(source), *given))
                decides = [fetched["sha256"], version("policyserver"), schema.discrete, schema.tuple, options]
                identity = json.dumps(decides)
                bundle = self._bundles / hashlib.sha256(identity.encode()).hexdigest()[:32]
                if not bundle.is_dir():
                    schema_file = Path(folder) / "schema.json"
                    schema_file.write_text(schema.model_dump_json(by_alias=True))
                    known = ["--schema", str(schema_file), "--uri", fetched["uri"], "--sha256", fetched["sha256"]]
                    run_program("importers", "convert", fetched["path"], "--output", str(bundle), *known, *options)
            self._imported[kind] = bundle
        return self._imported[kind]

    def _fetch_options(self, one: Resolved, policy: Policy, folder: Path) -> list[str]:
        options = ["--sha256", policy.sha256] if policy.sha256 else []
        if policy.model_credentials is None:
            return options
        name = policy.model_credentials.name
        credentials = one.model_credentials.get(name)
        if credentials is None:
            self._report(
                f"{one.server}: Secret {name} of spec.modelCredentials is in none of the files;"
                " this machine's own credentials are used: AWS_ACCESS_KEY_ID and so on, HF_TOKEN, gcloud's, .netrc"
            )
            return options
        secret = folder / name
        secret.mkdir()
        for key in credentials.keys() & set(MODEL_CREDENTIALS):
            (secret / key).write_text(credentials[key])
        return [*options, "--credentials", str(secret)]

    def _start_process(self) -> None:
        endpoint = self._endpoint
        options = {
            "--config": self._state / "config",
            "--host": endpoint.host,
            "--port": endpoint.port,
            "--metrics-port": endpoint.metrics_port,
            "--processes": endpoint.processes,
            "--drain-seconds": 0,  # nobody else would take its clients
            "--parent": os.getpid(),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "policy_server", *(str(word) for option in options.items() for word in option)],
            # Ctrl-C reaches the whole foreground group; the server is told once, by stop().
            start_new_session=True,
        )

    def _wait_until_ready(self) -> None:
        process = self._process
        while process and process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self._endpoint.url}/readyz", timeout=5):  # noqa: S310 -- our own URL
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise ProcessFailed(process.returncode if process else 1)
