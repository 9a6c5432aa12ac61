"""Reads a Pathmind `schema.yaml` in its own order, and turns it into resources.

Its observations are a mapping whose order is the order of the model's inputs. So the text is read node by node and
never goes through a mapping that anybody could sort; and a node knows its line, which a dict doesn't.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import yaml
from pydantic import ValidationError

from policy_operator import names
from policy_operator.api import parse
from policy_operator.errors import InvalidSchemaTextError, problems_in
from policy_server.config import Observation, ObservationType, Schema

LARGEST_TEXT = 65_536
NULL = "tag:yaml.org,2002:null"
BOOL = "tag:yaml.org,2002:bool"
OBSERVATION_FIELDS = {
    "type": "type",
    "min_items": "minItems",
    "minItems": "minItems",
    "max_items": "maxItems",
    "maxItems": "maxItems",
    "minimum": "minimum",
    "maximum": "maximum",
    "default": "default",
    "mask": "mask",
    "description": "description",
}


@dataclass(frozen=True)
class PathmindSchema:
    """All that a Pathmind `schema.yaml` says."""

    schema: Schema
    url_path: str | None
    api_key: str | None = field(repr=False)


@dataclass(frozen=True)
class Conversion:
    """A `schema.yaml` as Kubernetes resources, and what to know about them."""

    documents: list[dict[str, Any]] = field(repr=False)  # among them a Secret
    warnings: list[str]


def parse_schema_text(text: str) -> PathmindSchema:
    """What a Pathmind `schema.yaml` says; InvalidSchemaTextError names each problem with its line and remedy."""
    reader = _Reader()
    schema = reader.read(_root(text))
    if reader.problems or schema is None:
        raise InvalidSchemaTextError(reader.problems)
    return schema


def convert(text: str, name: str, model_uri: str, namespace: str | None = None) -> Conversion:
    """The PolicyServer, and the Secret with its API key, that serve as this `schema.yaml` says."""
    pathmind = parse_schema_text(text)
    secret = names.keys_secret(name)
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    observations = [
        observation.model_dump(mode="json", by_alias=True, exclude_none=True)
        for observation in pathmind.schema.observations
    ]
    schema = {"observations": observations, "discrete": pathmind.schema.discrete, "tuple": pathmind.schema.tuple}
    if pathmind.schema.actions:
        schema["actions"] = pathmind.schema.actions
    spec: dict[str, Any] = {"modelUri": model_uri, "schema": schema, "apiKeySecret": {"name": secret}}
    if pathmind.url_path is not None:
        spec["urlPath"] = pathmind.url_path
    server = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": spec}
    parse(server)
    if pathmind.api_key is None:
        warning = (
            f"the schema has no api_key, so no Secret was written; make one before the PolicyServer is applied:"
            f" kubectl create secret generic {secret} --from-literal=key=..."
        )
        return Conversion([server], [warning])
    return Conversion(
        [
            server,
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata | {"name": secret},
                "stringData": {"key": pathmind.api_key},
            },
        ],
        [],
    )


def _root(text: str) -> yaml.Node:
    if len(text.encode()) > LARGEST_TEXT:
        raise InvalidSchemaTextError([f"the text is larger than {LARGEST_TEXT} bytes; is it a schema.yaml?"])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidSchemaTextError([f"{line}no valid YAML: {error.problem or error.context}"]) from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise InvalidSchemaTextError([f"no valid YAML: {reason}"]) from None
    if root is None:
        raise InvalidSchemaTextError(
            ["the text is empty; it needs `parameters` and, unless all is raw, `observations`"]
        )
    return root


def _given(node: yaml.Node | None) -> TypeGuard[yaml.Node]:
    return node is not None and node.tag != NULL


class _Reader:
    """Goes through the nodes of one text and collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        # Makes values of scalars alone: aliases are never expanded, so they can't grow.
        self._scalars = yaml.constructor.SafeConstructor()

    def read(self, root: yaml.Node) -> PathmindSchema | None:
        top = self._fields(root, "", ("observations", "parameters"))
        observations = self._observations(top.get("observations"))
        node = top.get("parameters")
        known = ("discrete", "tuple", "actions", "api_key", "url_path")
        parameters = self._fields(node, "parameters", known) if _given(node) else {}
        discrete = self._flag(parameters.get("discrete"), "parameters.discrete")
        is_tuple = self._flag(parameters.get("tuple"), "parameters.tuple")
        actions = self._names(parameters.get("actions"), "parameters.actions")
        of_mappings = isinstance(root, yaml.MappingNode) and (not _given(node) or isinstance(node, yaml.MappingNode))
        if of_mappings and not _given(parameters.get("discrete")):
            self.problems.append(
                "parameters.discrete: is missing; say true (actions are whole numbers) or false (real numbers)"
            )
        if self.problems:
            return None
        try:
            schema = Schema(observations=observations, discrete=bool(discrete), tuple=bool(is_tuple), actions=actions)
        except ValidationError as error:
            self.problems += problems_in(error, Schema)
            return None
        return PathmindSchema(
            schema, self._text(parameters.get("url_path")) or None, self._text(parameters.get("api_key")) or None
        )

    def _observations(self, node: yaml.Node | None) -> list[Observation]:
        if not _given(node):
            return []
        found = [self._observation(name, value) for name, value in self._items(node, "observations")]
        return [observation for observation in found if observation is not None]

    def _observation(self, name: str, node: yaml.Node) -> Observation | None:
        where = f"observations.{name}"
        before = len(self.problems)
        fields = self._fields(node, where, tuple(OBSERVATION_FIELDS))
        values: dict[str, Any] = {"name": name}
        for written, value in fields.items():
            meaning = OBSERVATION_FIELDS[written]
            if meaning in values:
                self._problem(value, f"{where}.{written}", f"{meaning} is there twice; remove one")
            elif meaning == "type":
                values[meaning] = self._type(value, where)
            else:
                values[meaning] = self._meant(meaning, value, f"{where}.{written}")
        if "type" not in fields and isinstance(node, yaml.MappingNode):
            self._problem(node, where, f"has no type; give it one of {', '.join(ObservationType)}")
        if len(self.problems) > before:
            return None
        try:
            return Observation.model_validate(values, strict=True)
        except ValidationError as error:
            for problem in problems_in(error, Observation):
                path, _, reason = problem.partition(": ")
                culprit = next((written for written in fields if OBSERVATION_FIELDS[written] == path), None)
                if culprit is None:
                    self._problem(node, where, problem)
                else:
                    self._problem(fields[culprit], f"{where}.{culprit}", reason)
            return None

    def _meant(self, meaning: str, node: yaml.Node, where: str) -> object:
        if meaning == "description":
            return self._text(node)
        if meaning == "default" and isinstance(node, yaml.SequenceNode):
            return [self._value(item, where) for item in node.value]
        return self._value(node, where)

    def _names(self, node: yaml.Node | None, where: str) -> list[str] | None:
        if not _given(node):
            return None
        names = [self._text(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else [None]
        if None in names:
            self._problem(node, where, "must be a list of names, as in [left, right]")
        return [name for name in names if name is not None]

    def _type(self, node: yaml.Node, where: str) -> ObservationType | None:
        written = self._text(node) or ""
        try:
            return ObservationType(written)
        except ValueError:
            wrong = f"{written!r} is not a type that a policy can observe; use one of {', '.join(ObservationType)}"
            self._problem(node, f"{where}.type", wrong)
            return None

    def _flag(self, node: yaml.Node | None, where: str) -> bool | None:
        if not _given(node):
            return None
        if node.tag != BOOL:
            self._problem(node, where, "must be true or false")
            return None
        return bool(self._value(node, where))

    def _text(self, node: yaml.Node | None) -> str | None:
        """A text as it was written, so that a key 0123 doesn't become the number 83."""
        return str(node.value) if isinstance(node, yaml.ScalarNode) and _given(node) else None

    def _value(self, node: yaml.Node, where: str) -> object:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(node, where, "must be a single value")
            return None
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError):  # KeyError: `!!bool maybe`
            self._problem(node, where, "has a value that can't be read")
            return None

    def _fields(self, node: yaml.Node, where: str, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        fields = {}
        for name, value in self._items(node, where):
            if name in known:
                fields[name] = value
            else:
                path = f"{where}.{name}" if where else name
                self._problem(value, path, f"unknown; there are {', '.join(known)}")
        return fields

    def _items(self, node: yaml.Node, where: str) -> Iterator[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            remedy = "; a list goes into spec.schema" if isinstance(node, yaml.SequenceNode) else ""
            self._problem(node, where or "the text", f"must be a mapping{remedy}")
            return
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, where or "the text", "a key must be a word")
            elif key.value in seen:
                self._problem(key, f"{where}.{key.value}" if where else key.value, f"is on line {seen[key.value]} too")
            else:
                seen[key.value] = line
                yield key.value, value

    def _problem(self, node: yaml.Node, where: str, text: str) -> None:
        self.problems.append(f"line {node.start_mark.line + 1}: {where}: {text}")
