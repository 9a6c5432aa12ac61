"""`python -m policy_server.sdks`: writes the SDKs of one PolicyServer.

`policyserver clients` and `policyserver up --clients` run it, and so does a container before the server's.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from policy_server.config import ClientLanguage, ServerConfig, first_problem
from policy_server.errors import ConfigError, PolicyServerError
from policy_server.sdks.document import Document, described, for_sdks, told_by
from policy_server.sdks.generator import sdk, unpack, write

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 with lines `error: …` on standard error; 0 in spite of these with --optional."""
    options = _parser().parse_args(arguments)
    try:
        document = _document(options.source, options.url)
        for language in dict.fromkeys(options.language or ClientLanguage):
            start = time.monotonic()
            content = sdk(document, language, options.cache)
            if options.zip:
                place = options.output / f"{language}.zip"
                write(place, content)
            else:
                place = unpack(content, options.output)
            print(f"{place} ({time.monotonic() - start:.1f} s)", file=sys.stderr, flush=True)
    except (PolicyServerError, OSError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 0 if options.optional else BAD_INPUT
    return 0


def _document(source: str, url: str | None) -> Document:
    if source.startswith(("http://", "https://")):
        return for_sdks(told_by(source), url or source)
    file = Path(source)
    try:
        config = ServerConfig.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError(f"{file}: {first_problem(error)}") from None
    url = url or "http://localhost:8000"
    whole = urlsplit(url).path.strip("/") != ""
    return for_sdks(described(config), url if whole else f"{url.rstrip('/')}/{config.url_path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m policy_server.sdks", description="Write the SDKs of one PolicyServer."
    )
    parser.add_argument("source", metavar="SOURCE", help="a ServerConfig as JSON, or the URL of a server that runs")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a folder that each is written into")
    parser.add_argument(
        "--language",
        type=ClientLanguage,
        choices=list(ClientLanguage),
        action="append",
        help="may be given several times (default: all of them)",
    )
    parser.add_argument("--zip", action="store_true", help="write LANGUAGE.zip instead of a folder for each")
    parser.add_argument(
        "--url",
        help="whom the SDKs ask, unless they are told another; without a path, SOURCE's is added (default: SOURCE, or"
        " localhost)",
    )
    parser.add_argument("--optional", action="store_true", help="end well in spite of errors, if only they are said")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep them there, and take what is there already")
    return parser


if __name__ == "__main__":
    sys.exit(main())
