"""The languages that there are SDKs in, and what openapi-generator is told of each."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from policy_server.config import ClientLanguage


@dataclass(frozen=True)
class Names:
    """What the packages of one PolicyServer are called; each ends in `client`, so that none is a word of a language."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, title: str) -> Self:
        """Returns those of a PolicyServer by its name."""
        words = re.findall("[a-z0-9]+", title.lower())
        named = bool(words) and words[0][0].isalpha()  # no package's name begins with a digit
        return cls((*([] if named else ["policy"]), *words, "client"))

    @property
    def snake(self) -> str:
        """As Python has it: `mouse_client`."""
        return "_".join(self.words)

    @property
    def kebab(self) -> str:
        """As npm and Maven have it: `mouse-client`."""
        return "-".join(self.words)

    @property
    def flat(self) -> str:
        """As R has it: `mouseclient`."""
        return "".join(self.words)

    @property
    def package(self) -> str:
        """As Java has it: `io.policyserver.mouseclient`."""
        return f"io.policyserver.{self.flat}"


@dataclass(frozen=True)
class Generator:
    """One of openapi-generator's programs, https://openapi-generator.tech/docs/generators.

    Attributes:
        name: its own.
        options: what it is told, by the names of the packages.
        methods: what it calls operations in another way than others do.
        fields: what it calls properties in another way than the server does.
        wrong: lines of its files that are left out.
    """

    name: str
    options: Callable[[Names], Mapping[str, str]]
    methods: str = ""
    fields: str = ""
    wrong: str = ""


def _python(names: Names) -> dict[str, str]:
    return {"packageName": names.snake, "projectName": names.kebab}


def _java(names: Names) -> dict[str, str]:
    return _jvm(names) | {"library": "native", "openApiNullable": "false"}


def _scala(names: Names) -> dict[str, str]:
    return _jvm(names) | {"mainPackage": names.package, "jsonLibrary": "circe"}


def _r(names: Names) -> dict[str, str]:
    return {"packageName": names.flat, "operationIdNaming": "snake_case", "returnExceptionOnFailure": "true"}


def _typescript(names: Names) -> dict[str, str]:
    return {"npmName": names.kebab}


def _jvm(names: Names) -> dict[str, str]:
    return {
        "groupId": "io.policyserver",
        "artifactId": names.kebab,
        "invokerPackage": names.package,
        "apiPackage": f"{names.package}.api",
        "modelPackage": f"{names.package}.model",
    }


GENERATORS: Mapping[ClientLanguage, Generator] = {
    ClientLanguage.PYTHON: Generator("python", _python),
    # Asks with what Java itself has, and reads and writes JSON with Jackson.
    ClientLanguage.JAVA: Generator("java", _java),
    # With its other library for JSON, fields would be sent by their names in Scala. An observation that is called `c`
    # would hide the `c` of the code around it.
    ClientLanguage.SCALA: Generator("scala-sttp", _scala, fields="c=cValue"),
    # It takes the items of every list for text.
    ClientLanguage.R: Generator("r", _r, wrong=r".*stopifnot\(is\.character\(x\)\)\)\n"),
    # Its `predict` has a `predictRaw`, which returns the response as it came.
    ClientLanguage.TYPESCRIPT: Generator("typescript-fetch", _typescript, methods="predict_raw=predictRawObservation"),
}
