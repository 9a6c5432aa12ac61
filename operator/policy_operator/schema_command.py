"""`policyserver schema infer`: the schema that an environment, a bundle or a table implies."""

from pathlib import Path
from typing import Annotated, Any

import typer

from policy_operator.inferred_schema import schema_of_bundle, schema_of_environment, schema_of_table
from policy_operator.output import Output, OutputOption, show, table
from policy_server.config import Schema


def infer_schema(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A Gymnasium environment such as CartPole-v1, a bundle's folder, or a CSV whose first line has names.",
        ),
    ],
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Of a CSV, which doesn't tell: actions are real numbers.")
    ] = False,
    several: Annotated[
        bool, typer.Option("--tuple", help="Of a CSV, which doesn't tell: an action has several components.")
    ] = False,
    output: OutputOption = Output.YAML,
) -> None:
    """Infer the schema of observations, as a start: names, types, and what bounds are known.

    YAML is a schema.yaml, of which `policyserver schema convert` makes a PolicyServer; JSON is `spec.schema` of one. A
    bundle has no names for what it observes, and a CSV no bounds.

    Examples: `policyserver schema infer CartPole-v1 > schema.yaml`, `policyserver schema infer seen.csv -o table`
    """
    path = Path(source)
    if path.is_dir():
        schema = schema_of_bundle(path)
    elif path.is_file() or path.suffix == ".csv":
        schema = schema_of_table(path, continuous=continuous, several=several)
    else:
        schema = schema_of_environment(source)
    if output is Output.TABLE:
        print(_table(schema))
    else:
        show(_as_text(schema) if output is Output.YAML else _as_spec(schema), output)


def _as_spec(schema: Schema) -> dict[str, Any]:
    """Returns the schema as a PolicyServer has it: its observations are a list."""
    return schema.model_dump(mode="json", by_alias=True, exclude_none=True)


def _as_text(schema: Schema) -> dict[str, Any]:
    """Returns the schema as a schema.yaml has it: its observations are a mapping, in their order."""
    spec = _as_spec(schema)
    observations = {each.pop("name"): each for each in spec["observations"]}
    return {"observations": observations, "parameters": {"discrete": spec["discrete"], "tuple": spec["tuple"]}}


def _table(schema: Schema) -> str:
    header = ["OBSERVATION", "TYPE", "ITEMS", "MINIMUM", "MAXIMUM"]
    rows = [
        [each.name, each.type, *(_cell(value) for value in (each.max_items, each.minimum, each.maximum))]
        for each in schema.observations
    ]
    kind = f"{'discrete' if schema.discrete else 'continuous'}{', several components' if schema.tuple else ''}"
    return f"{table([header, *rows])}\nactions: {kind}"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
