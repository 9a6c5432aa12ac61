"""Debian's Java, Maven, Node.js and R, which build SDKs and run programs with them.

`python -m tests.integration.clients.toolchains` installs what is missing. Libraries come from Maven Central and npm.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from policy_server.config import ClientLanguage
from tests.cluster import deps
from tests.cluster.errors import ClusterError
from tests.cluster.versions import FOR_CLIENTS

INSTEAD = "or install them yourself, so that they lie where Debian puts them"
SECONDS = 1200
"""For one command: the first fetches libraries."""

Run = Callable[[Path, str], str]
"""Builds the SDK in a folder, runs a program with it, and returns what that prints."""


def require_toolchain() -> None:
    """Skips the test where something is missing; fails it where CI is true."""
    missing = [package for package, file in FOR_CLIENTS.items() if not Path(file).exists()]
    if not missing:
        return
    reason = f"SDKs can't be built here: apt-get install {' '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _run(*command: object, into: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=into,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _python(sdk: Path, program: str) -> str:
    return _run(sys.executable, "-c", program, into=sdk, PYTHONPATH=str(sdk))


def _typescript(sdk: Path, program: str) -> str:
    _run("npm", "install", "--no-audit", "--no-fund", into=sdk)
    user = sdk / "user"
    (user / "node_modules").mkdir(parents=True, exist_ok=True)
    link = user / "node_modules" / sdk.name.removesuffix("-typescript")
    if not link.exists():
        link.symlink_to(sdk)
    (user / "program.mts").write_text(program)
    compiler = sdk / "node_modules" / ".bin" / "tsc"
    _run(compiler, "--strict", "--target", "es2022", "--module", "nodenext", "program.mts", into=user)
    return _run("node", "program.mjs", into=user)


def _java(sdk: Path, program: str) -> str:
    _run(*_MAVEN, "-Dmaven.javadoc.skip=true", "-Dmaven.source.skip=true", "package", into=sdk)
    (sdk / "Program.java").write_text(program)
    return _run("java", "-cp", "target/*:target/lib/*", "Program.java", into=sdk)


def _scala(sdk: Path, program: str) -> str:
    """Builds with Maven instead of sbt, which Debian doesn't have: the versions are the SDK's own."""
    (sdk / "pom.xml").write_text(_pom((sdk / "build.sbt").read_text()))
    (sdk / "src" / "main" / "scala" / "Program.scala").write_text(program)
    _run(*_MAVEN, "compile", "dependency:copy-dependencies", "-DoutputDirectory=target/lib", into=sdk)
    return _run("java", "-cp", "target/classes:target/lib/*", "Program", into=sdk)


def _r(sdk: Path, program: str) -> str:
    library = sdk.with_name(f"{sdk.name}-library")
    library.mkdir(exist_ok=True)
    _run("R", "CMD", "INSTALL", f"--library={library}", sdk, into=sdk.parent)
    return _run("Rscript", "-e", program, into=sdk.parent, R_LIBS=str(library))


_MAVEN = ("mvn", "--quiet", "--batch-mode", "-Dmaven.test.skip=true")


def _pom(build: str) -> str:
    """Returns what tells Maven the same as an SDK's build.sbt."""
    scala = re.search(r'scalaVersion := "([\d.]+)"', build)
    assert scala
    libraries = [("org.scala-lang", "scala-library", scala[1])]
    binary = scala[1].rpartition(".")[0]
    libraries += [
        (group, f"{name}_{binary}", version)
        for group, name, version in re.findall(r'"([\w.]+)" %% "([\w-]+)" % "([\w.]+)"', build)
    ]
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in libraries
    )
    return f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>test</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies>
<build><sourceDirectory>src/main/scala</sourceDirectory><plugins><plugin>
<groupId>net.alchim31.maven</groupId><artifactId>scala-maven-plugin</artifactId><version>4.9.2</version>
<executions><execution><goals><goal>compile</goal></goals></execution></executions>
</plugin></plugins></build>
</project>
"""


RUN: Mapping[ClientLanguage, Run] = {
    ClientLanguage.PYTHON: _python,
    ClientLanguage.TYPESCRIPT: _typescript,
    ClientLanguage.JAVA: _java,
    ClientLanguage.SCALA: _scala,
    ClientLanguage.R: _r,
}


def main() -> None:
    """Installs what is missing, as far as this machine lets us."""
    deps.ensure(FOR_CLIENTS, instead=INSTEAD)


if __name__ == "__main__":
    try:
        main()
    except ClusterError as error:
        sys.exit(f"error: {error}")
