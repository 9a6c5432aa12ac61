"""The fields of a PolicyServer, from its custom resource definition."""

from collections.abc import Iterator

from docs.reference.source.markdown import Node, code, fields, page, table
from policy_operator import names
from policy_operator.crd import COLUMNS, RULES, crd

_PREAMBLE = f"""
`{names.GROUP}/{names.VERSION}`, kind `{names.KIND}`, short name `pols`. `kubectl explain policyserver.spec` shows the
same in a cluster. The API server refuses what breaks a rule or a bound, with the rule's words; so do
`policyserver up` and `policyserver render`, which also refuse fields that aren't here.
"""


def resource_page() -> str:
    """Returns the page."""
    schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = [part for name in ("spec", "status") for part in _sections(name, schema["properties"][name], 2)]
    columns = table(["column", "holds"], [[column["name"], code(column["jsonPath"])] for column in COLUMNS])
    return page(
        "The PolicyServer resource",
        "operator/policy_operator/api.py",
        _PREAMBLE,
        _rules(schema),
        *parts,
        f"## Columns\n\nOf `kubectl get policyservers`; the last but Age with `-o wide`.\n\n{columns}",
    )


def _sections(path: str, node: Node, level: int) -> Iterator[str]:
    """Yields the section of an object, and those of the objects in it."""
    described, inner = {}, {}
    for name, child in node["properties"].items():
        held = child.get("items", child)
        if "properties" in held:
            place = f"{path}.{name}[]" if held is not child else f"{path}.{name}"
            inner[place] = held
            described[name] = f"[Fields](#{_anchor(place)})."
        elif RULES in child:
            described[name] = f"Refused otherwise: {'; '.join(rule['message'] for rule in child[RULES])}."
    yield f"{'#' * level} {path}"
    yield fields(node, described)
    if rules := _rules(node):
        yield rules
    for place, held in inner.items():
        yield from _sections(place, held, 3)


def _anchor(title: str) -> str:
    return "".join(letter for letter in title.lower() if letter.isalnum())


def _rules(node: Node) -> str:
    said = [f"- {rule['message']}" for rule in node.get(RULES, [])]
    return "What breaks a rule is refused in these words:\n\n" + "\n".join(said) if said else ""
