"""Has SDKs written, by a process of the server's package; those of the same API are written once."""

from collections.abc import Sequence
from pathlib import Path

from policy_operator.local_files import cache_folder, replace
from policy_operator.server_programs import run_program
from policy_server.config import ServerConfig


def with_clients(config: ServerConfig, folder: Path, url: str, languages: Sequence[str] | None) -> ServerConfig:
    """Returns a configuration whose server gives away SDKs, which are written into a folder.

    Args:
        config: it, without them.
        folder: theirs.
        url: where this machine serves.
        languages: what the PolicyServer asks for, which keeps nobody from serving; None means all, and they must be.

    Raises:
        ProcessFailed: they must be, and can't be written.
    """
    source = folder.with_name(f"{folder.name}.json")
    replace(source, config.model_dump_json(by_alias=True))
    write_clients(source, folder, languages=languages or (), zipped=True, url=url, optional=languages is not None)
    return config.model_copy(update={"clients_directory": folder})


def write_clients(
    source: str | Path,
    output: Path,
    *,
    languages: Sequence[str] = (),
    zipped: bool = False,
    url: str | None = None,
    optional: bool = False,
) -> None:
    """Writes SDKs into a folder.

    Args:
        source: the configuration of a server, or the URL of one that runs.
        output: the folder.
        languages: those of the SDKs; none means all.
        zipped: whether each is a file, LANGUAGE.zip, and not a folder.
        url: whom the SDKs ask, unless they are told another; without a path, that of the configuration is added.
        optional: whether it is no failure that some can't be written, if only that is told.

    Raises:
        ProcessFailed: they can't be written, and why is told already.
    """
    options = [f"--output={output}", f"--cache={cache_folder() / 'clients'}"]
    options += [f"--language={language}" for language in languages]
    options += ["--zip"] if zipped else []
    options += [f"--url={url}"] if url else []
    options += ["--optional"] if optional else []
    run_program("sdks", str(source), *options, captured=False)
