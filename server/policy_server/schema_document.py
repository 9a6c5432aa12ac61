"""The schema as clients of Pathmind's policy server know it."""

from typing import Any

from policy_server.config import Schema


def schema_document(schema: Schema) -> dict[str, Any]:
    """Returns the content of a Pathmind `schema.yaml`: observations by name, in order, and parameters without a key."""
    observations = {
        observation.name: observation.model_dump(mode="json", exclude={"name"}, exclude_none=True)
        for observation in schema.observations
    }
    names = {"actions": schema.actions} if schema.actions else {}
    return {"observations": observations, "parameters": {"discrete": schema.discrete, "tuple": schema.tuple} | names}
