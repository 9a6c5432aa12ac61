"""What the API server checks of a schema, a router and scaling, in CEL; `policy_server.config` checks it too."""

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from policy_server.config import (
    CANARY_RULE,
    DEFAULT_RULE,
    EPSILON_RULE,
    HORIZON_RULE,
    LEARNING,
    MIN_PULLS_RULE,
    SCALING_ORDER_RULE,
    SCALING_RULE,
    SCALING_TARGET_RULE,
)

REPLICAS_RULES = (
    ("has(self.replicas) != has(self.minReplicas) && has(self.minReplicas) == has(self.maxReplicas)", SCALING_RULE),
    ("!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas", SCALING_ORDER_RULE),
)
"""Of what has a fixed number, or as many as are needed."""


class SchemaRules:
    """The rules of `policy_server.config`, which knows nothing of Kubernetes, told to the API server too.

    All but one: that names differ would cost more than a rule may.
    """

    OBSERVATION_RULES = (
        (
            "self.type.startsWith('List') || !(has(self.minItems) || has(self.maxItems))",
            "minItems and maxItems are for lists",
        ),
        ("!has(self.minItems) || !has(self.maxItems) || self.minItems <= self.maxItems", "minItems > maxItems"),
        ("!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum", "minimum > maximum"),
        (
            "!self.type.contains('bool') || !(has(self.minimum) || has(self.maximum))",
            "a bool has no minimum or maximum",
        ),
        ("!has(self.mask) || !self.mask || self.type == 'List[bool]'", "a mask is a List[bool]"),
    )
    SCHEMA_RULES = (
        ("!has(self.actions) || (self.discrete && !self.tuple)", "actions names the choices of one discrete action"),
        (
            "self.discrete || !has(self.observations) || !self.observations.exists(each, has(each.mask) && each.mask)",
            "continuous actions can't be masked",
        ),
    )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        node = handler(schema)
        schema_node = handler.resolve_ref_schema(node)
        schema_node["x-kubernetes-validations"] = [{"rule": rule, "message": text} for rule, text in self.SCHEMA_RULES]
        observation = handler.resolve_ref_schema(schema_node["properties"]["observations"]["items"])
        observation["x-kubernetes-validations"] = [
            {"rule": rule, "message": text} for rule, text in self.OBSERVATION_RULES
        ]
        # A number, a bool or a list: a structural schema has no type for that.
        observation["properties"]["default"]["x-kubernetes-preserve-unknown-fields"] = True
        return node


class RouterRules:
    """The rules of a router by itself, told to the API server too."""

    ROUTER_RULES = (
        ("!has(self.epsilon) || self.mode == 'EpsilonGreedy'", EPSILON_RULE),
        (
            "has(self.canary) == (self.mode == 'Canary') && (!has(self.canaryPercent) || self.mode == 'Canary')",
            CANARY_RULE,
        ),
        (f"!has(self.minPulls) || self.mode in {[str(mode) for mode in LEARNING]}", MIN_PULLS_RULE),
        ("!has(self.window) || !has(self.discount)", HORIZON_RULE),
        (
            "!has(self.defaultReward) || !has(self.reward)"
            " || (self.reward.min <= self.defaultReward && self.defaultReward <= self.reward.max)",
            DEFAULT_RULE,
        ),
        ("!has(self.reward) || self.reward.min < self.reward.max", "reward: min must be less than max"),
    )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        node = handler(schema)
        handler.resolve_ref_schema(node)["x-kubernetes-validations"] = [
            {"rule": rule, "message": text} for rule, text in self.ROUTER_RULES
        ]
        return node


class ScalingRules:
    """The rules of how a policy is scaled, told to the API server too."""

    SCALING_RULES = (*REPLICAS_RULES, ("!has(self.replicas) || !has(self.targetOngoingRequests)", SCALING_TARGET_RULE))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        node = handler(schema)
        handler.resolve_ref_schema(node)["x-kubernetes-validations"] = [
            {"rule": rule, "message": text} for rule, text in self.SCALING_RULES
        ]
        return node
