"""What can go wrong, without a framework; each edge (command line, conditions of the resource) translates once."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Self, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo


class PolicyOperatorError(Exception):
    """The message is for a person: it names the thing that is wrong and the remedy."""


class UnknownSchemaKeywordError(PolicyOperatorError):
    """A model uses something that the custom resource definition can't say (yet)."""


class ProcessFailed(PolicyOperatorError):
    """A process of the server ended with an error that it has told already."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class InvalidError(PolicyOperatorError):
    """One or more problems, each on a line of its own: `where: what is wrong; what to do`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def below(self, place: str) -> Self:
        """The same problems, each with the place that they were found in before it."""
        return type(self)(f"{place}: {problem}" for problem in self.problems)


class InvalidPolicyServerError(InvalidError):
    """A PolicyServer says what the API doesn't know or can't allow."""


class InvalidSchemaTextError(InvalidError):
    """A Pathmind `schema.yaml` can't be understood."""


class InvalidManifestsError(InvalidError):
    """Files can't be read, or don't hold all that they refer to."""


def field_path(location: Iterable[str | int]) -> str:
    """A place in a YAML document, as `spec.schema.observations[2].minItems`."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def problems_in(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """What pydantic found in a document, in the words of its YAML, each with the remedy.

    What was written is never repeated: it may be a secret in the wrong place.
    """
    problems = []
    for found in error.errors(include_url=False, include_input=False):
        text = _remedy(found["type"], found["loc"], found["msg"], model)
        path = field_path(found["loc"])
        problems += [f"{path}: {line}" if path else line for line in text.splitlines()]
    return problems


def _remedy(kind: str, location: tuple[str | int, ...], message: str, model: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        *above, name = location
        return _unknown_field(str(name), list(_fields(_model_at(model, above))))
    if kind == "list_type" and location[-1] == "observations":
        return (
            "write a list, as in `- {name: mouse_row, type: float}`; Kubernetes sorts the keys of a mapping, and the"
            " order is the order of the model's inputs (the text of a Pathmind schema.yaml goes into spec.schemaText)"
        )
    if kind == "missing":
        return f"is missing. {_description(model, location)}"
    if kind in {"string_pattern_mismatch", "string_too_short"}:
        return f"{_plain(message)}. {_description(model, location)}"
    if kind == "model_type":
        return f"write a mapping with {', '.join(_fields(_model_at(model, location)))}"
    return _plain(message)


def _plain(message: str) -> str:
    if message.startswith("Value error, "):
        return message.removeprefix("Value error, ")
    return message.replace("Input should", "must").replace("String should", "must").replace("List should", "must")


def _unknown_field(name: str, known: list[str]) -> str:
    spelled = {field.lower(): field for field in known}
    close = difflib.get_close_matches(name.replace("_", "").lower(), spelled, n=1)
    meant = f"; did you mean {spelled[close[0]]}?" if close else ";"
    return f"unknown field{meant} There are {', '.join(known)}"


def _description(model: type[BaseModel], location: Iterable[str | int]) -> str:
    *above, name = location
    return " ".join((_fields(_model_at(model, above))[str(name)].description or "").split())


def _model_at(model: type[BaseModel], location: Iterable[str | int]) -> type[BaseModel]:
    for step in location:
        if isinstance(step, str):
            model = next(_models_in(_fields(model)[step].annotation), model)
    return model


def _fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
