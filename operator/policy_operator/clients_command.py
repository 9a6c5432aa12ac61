"""`policyserver clients`: SDKs of a server, from its manifest or from itself."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from policy_operator.errors import InvalidManifestsError
from policy_operator.local import Endpoint, LocalServer
from policy_operator.local_clients import write_clients
from policy_operator.manifests import read
from policy_server.config import ClientLanguage


def clients(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL", help="A manifest with one PolicyServer, or the URL of a server, as `up` prints it."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder that they are put into.")],
    language: Annotated[
        list[ClientLanguage] | None,
        typer.Option("--language", "-l", help="May be given several times; all languages by default."),
    ] = None,
    zipped: Annotated[bool, typer.Option("--zip", help="Write LANGUAGE.zip instead of a folder for each.")] = False,
    url: Annotated[
        str | None, typer.Option(help="Whom the SDKs ask, unless they are told another; by default URL, or localhost.")
    ] = None,
) -> None:
    """Write SDKs for a server, whose methods and types are those of its observations and answers.

    They are made by openapi-generator, which `pip install 'policyserver[sdks]'` brings, and kept in the user's cache.

    Examples: `policyserver clients manifests/examples/cartpole.yaml -l python -o sdks/`,
    `policyserver clients http://localhost:8000/cartpole/ --zip -o sdks/`
    """
    if source.startswith(("http://", "https://")):
        write_clients(source, output, languages=language or (), zipped=zipped, url=url)
        return
    if (number := len(read([source]).servers)) != 1:
        raise InvalidManifestsError([f"{source}: there are {number} PolicyServers; there must be one"])
    server = LocalServer([source], Endpoint("localhost", 8000, 8080), lambda message: print(message, file=sys.stderr))
    try:
        (configuration,) = server.configurations()
        write_clients(configuration, output, languages=language or (), zipped=zipped, url=url)
    finally:
        server.stop()
