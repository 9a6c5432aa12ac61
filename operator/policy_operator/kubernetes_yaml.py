"""YAML as kubectl reads and writes it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from policy_operator.errors import InvalidManifestsError


class _Loader(yaml.SafeLoader):
    """YAML as kubectl reads it: a key that is there twice is an error, a date is a text, 1e3 is a number."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, OverflowError):  # PyYAML trusts that a value suits its tag
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"is no valid {kind}", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add((key.tag, key.value if isinstance(key, yaml.ScalarNode) else id(key)))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _Dumper(yaml.SafeDumper):
    """YAML that kubectl reads as it was meant: texts that it would take for something else are in quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None  # a text of several lines is shown as such
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:not-a-text", re.compile(r"^([-+.0-9][-+.0-9a-fA-FoxX_:]*|[yYnN])$"), list("-+.0123456789yYnN")
)


def dump(documents: Sequence[Mapping[str, Any]]) -> str:
    """The documents as YAML text, in the order of their fields."""
    return "---\n".join(
        yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for document in documents
    )


def documents(text: str) -> Iterator[Any]:
    """Yields the documents of a text, and what its Lists hold; raises InvalidManifestsError where a part is no YAML."""
    try:
        # Sorting out a document before the next one is read would report half of a broken file.
        loaded = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidManifestsError([f"{line}{error.problem or error.context}"]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidManifestsError([f"no valid YAML: {str(error).splitlines()[0]}"]) from None
    for document in loaded:
        if isinstance(document, Mapping) and document.get("kind") == "List" and isinstance(document.get("items"), list):
            yield from document["items"]
        elif document is not None:
            yield document
