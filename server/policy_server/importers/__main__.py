"""`python -m policy_server.importers`: the two init containers of a pod, and both in one for a laptop."""

import argparse
import json
import logging
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from tqdm import tqdm

from policy_server.config import ModelFormat, ModelOutput, Schema, ServerConfig, first_problem
from policy_server.errors import ImportFailed, PolicyServerError
from policy_server.importers import convert as conversion
from policy_server.importers import credentials
from policy_server.importers import fetch as fetching
from policy_server.importers.addresses import Addresses, Guard
from policy_server.importers.arguments import parser
from policy_server.importers.file_systems import Access
from policy_server.importers.progress import fetch_progress
from policy_server.importers.uri import redacted, redacted_text

_LONGEST_MESSAGE = 1500
_LONGEST_RESULT = 1000
"""Characters of a result that is an error: Kubernetes keeps 4096 bytes of what a container says last."""
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 with one line `error: …` on stderr; 0 in spite of that line with --optional."""
    signal.signal(signal.SIGTERM, _terminate)  # as process 1 of a container nothing else would end it
    verbose = "--verbose" in (sys.argv[1:] if arguments is None else arguments)
    if not verbose:
        logging.basicConfig(handlers=[logging.NullHandler()])  # libraries log what our one line says, and URLs too
    options = argparse.Namespace(optional=False)
    try:
        parser().parse_args(arguments, options)
        print(json.dumps(_COMMANDS[options.command](options)))
    except KeyboardInterrupt:
        _say("error: interrupted")
        return _INTERRUPTED
    except PolicyServerError as error:
        return _failed(options, _report(str(error), error if verbose else None))
    except Exception as error:  # noqa: BLE001  # the last edge: a person gets a line, --verbose the rest
        unexpected = f"unexpected {type(error).__name__}: {error}; --verbose shows where"
        return _failed(options, _report(unexpected, error if verbose else None))
    return 0


def _failed(options: argparse.Namespace, message: str) -> int:
    """Tells the result where it is optional, and returns the exit code."""
    if not options.optional:
        return 2
    if options.result:
        result = {"error": message[:_LONGEST_RESULT]}
        options.result.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    return 0


def _fetch(options: argparse.Namespace) -> dict[str, Any]:
    pinned = fetching.pinned_digest(options.uri, options.pins) if options.pins else None
    fetched = _fetched(options, options.output, _access(options), options.sha256, pinned)
    if not sys.stderr.isatty():
        _say(f"fetched {fetched.bytes:,} bytes from {fetched.uri}")
    result = fetching.as_json(fetched)
    if options.result:
        options.result.write_text(json.dumps(result))
    return result


def _convert(options: argparse.Namespace) -> dict[str, Any]:
    return _converted(options, options.source, options.uri, _schema(options))


def _import(options: argparse.Namespace) -> dict[str, Any]:
    schema = _schema(options)  # a wrong schema file is found before anything is fetched
    with tempfile.TemporaryDirectory(prefix="policyserver-import-") as folder:
        fetched = _fetched(options, Path(folder), fetching.ANYTHING)
        return _converted(options, fetched.path, fetched.uri, schema)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "fetch": _fetch,
    "convert": _convert,
    "import": _import,
}


def _access(options: argparse.Namespace) -> Access:
    given = credentials.read(options.credentials) if options.credentials else None
    if options.addresses is Addresses.ANY:
        return Access(given, volumes=options.volumes)
    guard = Guard(options.addresses)
    guard.install()
    # What the libraries would ask for credentials is an address that nobody may reach.
    return Access(given or {}, guard, options.volumes)


def _fetched(
    options: argparse.Namespace,
    directory: Path,
    access: Access,
    sha256: str | None = None,
    pinned: str | None = None,
) -> fetching.Fetched:
    with fetch_progress(_say) as progress:
        return fetching.fetch(
            options.uri,
            directory,
            max_bytes=options.max_bytes,
            timeout=options.timeout,
            sha256=sha256,
            pinned=pinned,
            access=access,
            progress=progress,
        )


def _converted(options: argparse.Namespace, source: Path, uri: str | None, schema: Schema | None) -> dict[str, Any]:
    with _bar(desc="convert", total=len(conversion.STAGES), unit="stage") as bar:
        converted = conversion.convert(
            source,
            options.output,
            schema=schema,
            expected=ModelFormat(options.format) if options.format else None,
            uri=uri,
            sha256=options.sha256,
            model_output=ModelOutput(options.model_output) if options.model_output else None,
            trust=options.trust,
            max_bytes=options.max_bytes,
            max_memory=options.max_memory,
            seconds=options.timeout,
            stage=_stages(bar),
            verbose=options.verbose,
        )
        bar.update(len(conversion.STAGES) - bar.n)
    for warning in converted.warnings:
        _say(f"warning: {warning}")
    manifest = converted.manifest
    if not sys.stderr.isatty():
        sizes = f"{manifest.observation_size} observations to {manifest.distribution.parameters} parameters"
        _say(f"converted {manifest.origin.format} from {redacted(uri or str(source))}: {sizes}")
    return manifest.model_dump(mode="json", by_alias=True)


def _stages(bar: "tqdm[NoReturn]") -> Callable[[str], None]:
    def begin(name: str) -> None:
        bar.set_postfix_str(name)
        bar.update(conversion.STAGES.index(name) - bar.n)

    return begin


def _bar(**options: Any) -> "AbstractContextManager[tqdm[NoReturn]]":
    return tqdm(file=sys.stderr, disable=not sys.stderr.isatty(), leave=False, **options)


def _schema(options: argparse.Namespace) -> Schema | None:
    path: Path | None = options.config or options.schema
    if path is None:
        return None
    try:
        text = path.read_text()
        if options.config:
            return ServerConfig.model_validate_json(text).observation_schema
        return Schema.model_validate_json(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailed(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from None
    except ValidationError as error:
        raise ImportFailed(f"{path}: {first_problem(error)}") from None


def _report(message: str, error: Exception | None) -> str:
    """Says what went wrong, and returns it as it was said."""
    if error is not None:
        sys.stderr.write(redacted_text("".join(traceback.format_exception(error))))
    line = " ".join(redacted_text(message).split())
    return _say(f"error: {line if len(line) <= _LONGEST_MESSAGE else line[:_LONGEST_MESSAGE] + ' …'}")


def _say(line: str) -> str:
    # What a model holds may be in it, and a terminal obeys control characters.
    said = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    print(said, file=sys.stderr)
    return said


def _terminate(signum: int, frame: object) -> NoReturn:
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
