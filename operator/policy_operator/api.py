"""The PolicyServer resource: the one source of its definition, its documentation and its validation.

What the API server checks of it is said beside the models, in CEL, and checked here too, with the same words:
a laptop has no API server.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.config import JsonDict

from policy_operator import names
from policy_operator.api_engine import ENGINE_RULES, Engine, Ray, RayWorkers
from policy_operator.api_policies import (
    LONGEST_TEXT,
    ROUTING_RULES,
    CheckedRouter,
    Model,
    Policies,
    Policy,
    SecretReference,
)
from policy_operator.api_status import OpenModel, PolicyServerStatus
from policy_operator.errors import InvalidPolicyServerError, field_path, problems_in
from policy_operator.names import TextRule
from policy_operator.resources import Resources
from policy_operator.schema_rules import SchemaRules
from policy_server.config import ClientLanguage, ConfigModel, Schema

NO_PLAIN_KEY = TextRule(
    r"""(?i)(^|[^a-z0-9_])api[_-]?key["']?\s*:""",
    "holds an API key in plain text; put the key into a Secret"
    " (kubectl create secret generic NAME --from-literal=key=...), name the Secret in spec.apiKeySecret and remove the"
    " key here; `policyserver schema convert schema.yaml` does it for you",
    forbidden=True,
)


@dataclass(frozen=True)
class ExactlyOne:
    """Of several fields one is given, and no more."""

    fields: tuple[str, ...]
    message: str

    def validation(self) -> JsonDict:
        """The rule for the API server."""
        given = ", ".join(f"has(self.{field})" for field in self.fields)
        return {"rule": f"[{given}].filter(given, given).size() == 1", "message": self.message}

    def broken_by(self, model: BaseModel) -> bool:
        """Whether none or more than one is given."""
        fields = [name for name, field in type(model).model_fields.items() if (field.alias or name) in self.fields]
        return sum(getattr(model, name) is not None for name in fields) != 1


ONE_MODEL = ExactlyOne(("modelUri", "policies"), "give exactly one of modelUri and policies")
ONE_SCHEMA = ExactlyOne(("schema", "schemaText", "schemaFrom"), "give exactly one of schema, schemaText and schemaFrom")
ONE_AUTH = ExactlyOne(
    ("apiKeySecret", "auth"),
    "give exactly one of apiKeySecret and auth: name a Secret of accepted keys, or say `auth: none` to serve everyone",
)
ONE_OF = (ONE_MODEL, ONE_SCHEMA, ONE_AUTH)
OWN_MODEL: JsonDict = {
    "rule": "!has(self.policies) || !(has(self.sha256) || has(self.modelCredentials) || has(self.format) || self.trust"
    " || has(self.modelOutput))",
    "message": "sha256, modelCredentials, format, trust and modelOutput go with modelUri: beside policies, say them in"
    " each policy",
}


class ConfigMapKey(ConfigModel):
    """One entry of a ConfigMap."""

    name: Annotated[str, StringConstraints(pattern=names.OBJECT_NAME, max_length=253)]
    """Name of the ConfigMap, in the namespace of the PolicyServer."""
    key: Annotated[str, StringConstraints(pattern="^[-._a-zA-Z0-9]+$", max_length=253)]
    """Key of the entry in the ConfigMap's `data`."""


class SchemaSource(ConfigModel):
    """Where the text of a Pathmind `schema.yaml` is kept."""

    config_map_key_ref: ConfigMapKey
    """The entry of a ConfigMap, as `kubectl create configmap NAME --from-file=schema.yaml` makes it."""


class PolicyServerSpec(Model):
    """What is served, to whom, where, and how often."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                OWN_MODEL,
                *(rule.validation() for rule in (*ONE_OF, *ROUTING_RULES, *ENGINE_RULES)),
            ]
        }
    )

    policies: Policies | None = None
    """Several policies, which a router chooses among. What modelUri has beside it, each of them has for itself."""
    router: CheckedRouter | None = None
    """How the router chooses. Without it, the only policy that isn't a shadow answers."""
    observation_schema: Annotated[Annotated[Schema, SchemaRules()] | None, Field(alias="schema")] = None
    """What the policy observes and what kind of action it takes. Exactly one of schema, schemaText and schemaFrom."""
    schema_text: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT), NO_PLAIN_KEY] | None = None
    """The text of a Pathmind `schema.yaml`, as it is but without its `api_key`. It is read in its own order, which a
    mapping in a Kubernetes resource would lose."""
    schema_from: SchemaSource | None = None
    """Where the text of a Pathmind `schema.yaml` is found, when it should not be in the PolicyServer itself."""
    api_key_secret: SecretReference | None = None
    """The Secret whose values are the accepted API keys, each of them. Two keys at once let clients change from one to
    the other without a gap. Exactly one of apiKeySecret and auth."""
    auth: Literal["none"] | None = None
    """Says `none` to serve everyone who can reach the server; there is no other value."""
    engine: Engine = Engine.IN_PROCESS
    """What serves: InProcess, each pod by itself, which is the fastest for models that answer within milliseconds; or
    RayServe, Ray Serve, in which each policy has processes of its own, for those who outgrow a pod."""
    ray: Ray | None = None
    """With engine RayServe, how many processes and pods there are."""
    replicas: Annotated[int, Field(ge=0, le=2_147_483_647)] = 1
    """How many pods serve the policy."""
    resources: Resources | None = None
    """How much processor and memory each of these pods asks for."""
    clients: set[ClientLanguage] | None = None
    """The languages of SDKs that each pod writes before it serves, and gives away under `/clients`. Where one can't be
    written, the pod serves without it."""
    url_path: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=253),
            names.URL_PATH,
            names.URL_PATH_WITHOUT_DOTS,
            names.URL_PATH_NOT_RESERVED,
        ]
        | None
    ) = None
    """The path of the server's URL. Without it, it is the `url_path` of a Pathmind schema, or else NAMESPACE/NAME.
    Slashes at its ends don't matter."""

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        policies = self.policies or []
        broken = [rule.message for rule in ONE_OF if rule.broken_by(self)]
        broken += [rule.message for rule in ROUTING_RULES if rule.broken(policies, self.router)]
        broken += [rule.message for rule in ENGINE_RULES if rule.broken(self)]
        if policies and any(getattr(self, name) for name in Model.model_fields.keys() - {"model_uri"}):
            broken.append(str(OWN_MODEL["message"]))
        seen: set[str] = set()
        for policy in policies:
            if policy.name in seen:
                broken.append(f"policy {policy.name!r} is there twice; names must differ")
            seen.add(policy.name)
        if broken:
            raise ValueError("\n".join(broken))
        return self


class ObjectMeta(OpenModel):
    """The part of the metadata that matters here; the rest is Kubernetes' own."""

    name: Annotated[str, names.SERVER_NAME]
    """Name of the PolicyServer."""
    namespace: Annotated[str, StringConstraints(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] = "default"
    """Namespace of the PolicyServer."""
    uid: str | None = None
    generation: int | None = None
    labels: Annotated[dict[str, str], Field(default_factory=dict)]
    annotations: Annotated[dict[str, str], Field(default_factory=dict)]
    creation_timestamp: AwareDatetime | None = None


class PolicyServer(ConfigModel):
    """Serves a trained reinforcement-learning policy over HTTP."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": names.SERVER_NAME.cel("self.metadata.name"),
                    "message": f"metadata.name {names.SERVER_NAME.message}",
                }
            ]
        }
    )

    api_version: Literal["policyserver.io/v1alpha1"]
    """Version of this API: policyserver.io/v1alpha1."""
    kind: Literal["PolicyServer"]
    """The kind of the resource: PolicyServer."""
    metadata: ObjectMeta
    """Name and namespace, as for every resource."""
    spec: PolicyServerSpec
    """What is served, to whom, where, and how often."""
    status: PolicyServerStatus | None = None
    """What the operator last saw; written by nobody else."""

    def __str__(self) -> str:
        return f"PolicyServer {self.metadata.namespace}/{self.metadata.name}"

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    @property
    def policies(self) -> list[Policy]:
        """What is served; where the spec has but a modelUri, one policy that is called as the PolicyServer is."""
        if self.spec.policies is not None:
            return self.spec.policies
        model = {name: getattr(self.spec, name) for name in Model.model_fields}
        # Not validated again: the name of a PolicyServer may be longer than that of a policy.
        return [Policy.model_construct(name=self.metadata.name, **model)]

    @property
    def ray_workers(self) -> RayWorkers | None:
        """The pods of the Ray cluster that serves it, if one does that KubeRay makes."""
        return self.spec.ray.workers if self.spec.ray else None

    @property
    def clients(self) -> list[ClientLanguage]:
        """The languages of the SDKs that it gives away, in one order."""
        return [language for language in ClientLanguage if language in (self.spec.clients or ())]

    @property
    def is_routed(self) -> bool:
        """Whether a router chooses what answers, if only among one."""
        return self.spec.policies is not None


def parse(document: Mapping[str, Any]) -> PolicyServer:
    """The PolicyServer in a YAML document; InvalidPolicyServerError names each wrong field and its remedy.

    Strict as the API server is: a number in quotes is a text, a null is as good as nothing.
    """
    try:
        written = json.dumps(_without_nulls(document), allow_nan=False, default=str)
    except (ValueError, RecursionError):  # .inf, .nan, or an anchor that holds itself
        raise InvalidPolicyServerError(["the document can't be written as JSON, which Kubernetes needs"]) from None
    plain_keys = [f"{path}: {NO_PLAIN_KEY.message}" for path in _plain_keys(document.get("spec"), ("spec",))]
    if plain_keys:
        raise InvalidPolicyServerError(plain_keys)
    try:
        return PolicyServer.model_validate_json(written, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidPolicyServerError(problems_in(error, PolicyServer)) from None


def _plain_keys(value: object, location: tuple[str | int, ...]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if str(name).lower().replace("_", "").replace("-", "") == "apikey":
                yield field_path((*location, str(name)))
            else:
                yield from _plain_keys(inner, (*location, str(name)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _plain_keys(inner, (*location, index))


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
