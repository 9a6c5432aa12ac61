"""What all models of configuration have in common."""

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


def first_problem(error: ValidationError) -> str:
    """Returns where a JSON document is wrong, and how, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "JSON"
    return f"{where}: {first['msg']}"


class ConfigModel(BaseModel):
    """camelCase on the wire, as Kubernetes has it; a misspelt field is an error, never ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
