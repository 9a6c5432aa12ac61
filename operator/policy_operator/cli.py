"""`policyserver`: the command line for people; `--help` on each command shows examples."""

import json
import signal
import sys
import tempfile
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from policy_operator.clients_command import clients
from policy_operator.desired import desired_objects
from policy_operator.errors import InvalidManifestsError, PolicyOperatorError, ProcessFailed
from policy_operator.evaluate_command import evaluate, log_app
from policy_operator.inspect_command import inspect
from policy_operator.kubernetes_yaml import dump
from policy_operator.local import Endpoint, LocalEngine, LocalServer
from policy_operator.local_routing import learned_file, named_store
from policy_operator.manifests import Resolved, read
from policy_operator.predict_command import predict
from policy_operator.rollout_command import rollout
from policy_operator.sample_request import SampleRequest, sample_request
from policy_operator.schema_command import infer_schema
from policy_operator.schema_text import convert, parse_schema_text
from policy_operator.server_programs import run_program
from policy_operator.settings import Settings
from policy_server.config import ModelFormat, ModelOutput

EXIT_BAD_INPUT = 2
DEFAULTS = Settings()

app = typer.Typer(
    name="policyserver",
    help="Serve trained reinforcement-learning policies: on this machine, or on Kubernetes from the same YAML.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
schema_app = typer.Typer(help="Work with the schema of observations.", no_args_is_help=True)
app.add_typer(schema_app, name="schema")
app.command()(rollout)
app.command()(predict)
app.command()(inspect)
app.command()(clients)
schema_app.command("infer")(infer_schema)
app.command()(evaluate)
app.add_typer(log_app, name="log")


def main() -> None:
    """Runs the command line; bad input ends in one line on standard error and exit code 2."""
    try:
        app()
    except ProcessFailed as failed:  # the process has told why
        sys.exit(failed.code)
    except PolicyOperatorError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    sys.exit(EXIT_BAD_INPUT)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("policyserver"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def up(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Manifests with PolicyServers; `-` for stdin.")],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the API.")] = 8000,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the Prometheus metrics.")] = 8080,
    processes: Annotated[int, typer.Option(min=1, help="How many processes serve, each on one core.")] = 1,
    engine: Annotated[
        LocalEngine | None,
        typer.Option(help="What runs the policies, whatever the files say; `ray` needs `policyserver[ray]`."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Make sampled actions repeatable.")] = None,
    send_sample: Annotated[bool, typer.Option(help="Send a first request to each and show its answer.")] = False,
    decision_log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append what routers decide, and the rewards, for `policyserver evaluate`."),
    ] = None,
    with_clients: Annotated[
        bool, typer.Option("--clients", help="Write SDKs first, and serve them under /clients.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Let routers begin anew, without what they learned.")
    ] = False,
) -> None:
    """Serve the PolicyServers of some files on this machine, as the operator would in a cluster.

    Secrets and ConfigMaps that they name are read from the same files. Edits are taken up without dropping a request.
    What routers learn outlives this command.

    Example: `policyserver up manifests/examples/cartpole.yaml`
    """
    if seed is not None and processes > 1:
        raise InvalidManifestsError(["--seed makes one process repeatable: leave out --processes or --seed"])
    if engine == LocalEngine.RAY and processes > 1:
        raise InvalidManifestsError(["--engine ray has processes of its own: leave out --processes"])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, leaving nothing behind
    endpoint = Endpoint(host, port, metrics_port, processes)
    log = decision_log and decision_log.absolute()
    server = LocalServer(
        files, endpoint, lambda message: print(message, file=sys.stderr, flush=True), seed, log, with_clients, engine
    )
    try:
        for served in server.start(anew=forget):
            _introduce(served, endpoint, send_sample, with_clients)
        print("\nServing; edit the files to change what is served, Ctrl-C to stop.", flush=True)
        server.follow()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
    finally:
        server.stop()


def _introduce(served: Resolved, endpoint: Endpoint, send: bool, with_clients: bool) -> None:
    url = f"{endpoint.url}/{served.url_path}/"
    print(f"\n{served.server}\n  URL      {url}\n  docs     {url}docs\n  metrics  {_metrics_url(endpoint)}")
    if with_clients or served.server.clients:
        print(f"  SDKs     {url}clients")
    if served.server.is_routed:
        shared = named_store(served.server)
        kept = shared.url if shared else f"{learned_file(served.server)} (--forget begins anew)"
        print(f"  learns   {kept}")
    request = sample_request(served, endpoint.url)
    if request is None:
        return
    print(f"  try      {request.curl}", flush=True)
    if send:
        print(f"  answer   {_answer(request)}", flush=True)


def _metrics_url(endpoint: Endpoint) -> str:
    return Endpoint(endpoint.host, endpoint.metrics_port, endpoint.metrics_port).url + "/metrics"


def _answer(request: SampleRequest) -> str:
    asked = urllib.request.Request(request.url, request.body, dict(request.headers))  # noqa: S310 -- our own URL
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 -- our own URL
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


@app.command("import")
def import_model(
    uri: Annotated[str, typer.Argument(help="The model: a path or a URI (file, http, https, data, …).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The bundle's folder; a bundle that is there is replaced.")
    ],
    schema: Annotated[
        Path | None,
        typer.Option(help="A PolicyServer manifest or a Pathmind schema.yaml that the model must agree with."),
    ] = None,
    model_format: Annotated[
        ModelFormat | None, typer.Option("--format", help="What the model is; otherwise found out by its content.")
    ] = None,
    model_output: Annotated[
        ModelOutput | None,
        typer.Option(help="What the outputs mean, where the format doesn't say: Q-values are of a DQN."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that the model holds, such as pickles; you trust its maker.")
    ] = False,
) -> None:
    """Convert a trained model into a bundle: `policy.onnx` and `policy.json`, which are all that a server needs.

    Reads TensorFlow SavedModels, Keras, TorchScript, torch.export, Stable-Baselines3, RLlib, ONNX and bundles.

    Example: `policyserver import saved_model.zip -o bundle/ --schema schema.yaml`
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["import", uri, "--output", str(output)]
        if schema is not None:
            file = Path(folder) / "schema.json"
            file.write_text(_schema_json(schema))
            arguments += ["--schema", str(file)]
        arguments += [f"--format={model_format}"] if model_format else []
        arguments += [f"--model-output={model_output}"] if model_output else []
        arguments += ["--trust"] if trust else []
        manifest = json.loads(run_program("importers", *arguments))
    print(f"{output}: {manifest['observationSize']} observations in, {_describe(manifest['distribution'])} out")


def _describe(distribution: dict[str, object]) -> str:
    sizes = distribution.get("sizes") or distribution["size"]
    return f"{distribution['kind']} {sizes}"


def _schema_json(file: Path) -> str:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"--schema {file}: {error}")
    if "apiVersion" in text:
        manifests = read([file])
        if len(manifests.servers) != 1:
            _fail(f"--schema {file}: there are {len(manifests.servers)} PolicyServers; there must be one")
        (server,) = manifests.servers.values()
        schema = manifests.schema(server).schema
    else:
        schema = parse_schema_text(text).schema
    return schema.model_dump_json(by_alias=True)


@app.command()
def render(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Manifests with PolicyServers; `-` for stdin.")],
    server_image: Annotated[
        str, typer.Option(envvar="POLICYSERVER_SERVER_IMAGE", help="The image that serves.")
    ] = DEFAULTS.server_image,
    importer_image: Annotated[
        str,
        typer.Option(
            envvar="POLICYSERVER_IMPORTER_IMAGE",
            help="The images that convert models; {framework} stands for tensorflow, torch or rllib.",
        ),
    ] = DEFAULTS.importer_image,
    store_image: Annotated[
        str, typer.Option(envvar="POLICYSERVER_STORE_IMAGE", help="The image of a Valkey that replicas share.")
    ] = DEFAULTS.store_image,
    sdk_image: Annotated[
        str, typer.Option(envvar="POLICYSERVER_SDK_IMAGE", help="The image that writes SDKs.")
    ] = DEFAULTS.sdk_image,
) -> None:
    """Print the Kubernetes objects that the operator would make, as YAML.

    A ServiceMonitor is among them; the operator makes it where the cluster knows that kind. Of a Valkey that replicas
    share, the Secret with its password isn't: it is random, and nobody shows it.

    Example: `policyserver render manifests/examples/cartpole.yaml`
    """
    settings = Settings(
        server_image=server_image, importer_image=importer_image, store_image=store_image, sdk_image=sdk_image
    )
    manifests = read(files)
    objects: list[dict[str, object]] = []
    for server in manifests.servers.values():
        objects += desired_objects(server, manifests.schema(server), settings)
    if not objects:
        _fail(f"{', '.join(files)}: there is no PolicyServer")
    sys.stdout.write(dump(objects))


@schema_app.command("convert")
def convert_schema(
    file: Annotated[Path, typer.Argument(help="A Pathmind schema.yaml.")],
    name: Annotated[str, typer.Option(help="The PolicyServer's name.")] = "policy",
    model_uri: Annotated[str, typer.Option(help="Where its model is.")] = "https://models.example/saved_model.zip",
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="Its namespace.")] = None,
) -> None:
    """Turn a Pathmind schema.yaml into a PolicyServer and the Secret with its API key, on standard output.

    Example: `policyserver schema convert schema.yaml --name mouse --model-uri file:///models/mouse.zip > mouse.yaml`
    """
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{file}: {error}")
    conversion = convert(text, name, model_uri, namespace)
    for warning in conversion.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    sys.stdout.write(dump(conversion.documents))


if __name__ == "__main__":
    main()
