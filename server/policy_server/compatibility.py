"""Whether a schema and a model speak of the same observations and actions; asked at import and again before serving."""

from policy_server.bundle import BundleManifest, Distribution
from policy_server.config import Schema
from policy_server.errors import SchemaMismatch
from policy_server.masking import ActionMask, with_mask_of_size
from policy_server.recurrence import STATE


def require_compatible(schema: Schema, manifest: BundleManifest) -> list[str]:
    """Returns warnings about what the schema says and the model overrules.

    Raises:
        SchemaMismatch: the widths or the kinds of action contradict each other; both numbers are in the message.
    """
    ActionMask.of(schema, manifest)
    if manifest.state and any(observation.name == STATE for observation in schema.observations):
        raise SchemaMismatch(
            f"the schema has an observation {STATE}, and the model is recurrent: requests hold its memory under that"
            " name; rename the observation"
        )
    least, greatest = with_mask_of_size(schema, manifest.distribution.parameters).width
    size = manifest.observation_size
    if schema.observations and not (least <= size and (greatest is None or size <= greatest)):
        width = str(least) if least == greatest else f"{least} to {'any number of' if greatest is None else greatest}"
        raise SchemaMismatch(
            f"the schema's observations make {width} values, the model takes {size}:"
            " correct the schema's observations (minItems and maxItems of lists too) or the model"
        )
    discrete = not manifest.distribution.continuous
    if schema.discrete != discrete:
        raise SchemaMismatch(
            f"the schema says discrete: {str(schema.discrete).lower()},"
            f" the model's actions are {'discrete' if discrete else 'continuous'}: correct the schema's discrete"
        )
    if schema.actions:
        _require_as_many_names_as_actions(len(schema.actions), manifest.distribution)
    several = discrete and not manifest.distribution.single
    if discrete and schema.tuple != several:
        return [
            f"the schema says tuple: {str(schema.tuple).lower()}, the model has"
            f" {manifest.distribution.components} action component(s): the model's answer is served"
        ]
    return []


def _require_as_many_names_as_actions(names: int, distribution: Distribution) -> None:
    if distribution.components != 1:
        raise SchemaMismatch(
            f"the schema names actions, and the model's action has {distribution.components} components:"
            " remove the schema's actions"
        )
    if names != distribution.parameters:
        raise SchemaMismatch(
            f"the schema names {names} actions, the model has {distribution.parameters}: correct the schema's actions"
        )
