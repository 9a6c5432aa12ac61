"""What of a PolicyServer is about its policies and the router that chooses among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic.config import JsonDict

from policy_operator import names
from policy_operator.schema_rules import RouterRules, ScalingRules
from policy_server.config import (
    ConfigModel,
    ModelFormat,
    ModelOutput,
    PolicyName,
    RouterConfig,
    RouterMode,
    ScalingConfig,
)

LONGEST_TEXT = 65_536
MOST_POLICIES = 16

ModelUri = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9+.-]*:.+", max_length=LONGEST_TEXT), names.VOLUME_URI]


class SecretReference(ConfigModel):
    """A Secret in the same namespace."""

    name: Annotated[str, StringConstraints(pattern=names.OBJECT_NAME, max_length=253)]
    """Name of the Secret, in the namespace of the PolicyServer."""


class Model(ConfigModel):
    """Where a model comes from, and how it is converted: of the only policy, or of one of several."""

    model_uri: ModelUri | None = None
    """Where the trained model is, as a URI with its scheme: `https://models.example/mouse.zip`, `s3://BUCKET/PATH`,
    `gs://BUCKET/PATH`, `hf://OWNER/REPOSITORY/PATH`, `pvc://CLAIM/PATH` (a volume of the namespace), or
    `file:///models/mouse` (on the laptop, or in the image). Exactly one of modelUri and policies."""
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$", max_length=64)] | None = None
    """The SHA-256 digest of the model, 64 digits; no other content is served. Of a file it is what `sha256sum` prints,
    of a folder what the condition ModelsLoaded shows. Without it, what was first served from a URI is all that is ever
    served from it; with it, a new model may come from the same URI."""
    model_credentials: SecretReference | None = None
    """A Secret with what http, https, s3, gs or hf ask for. Its keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL; GOOGLE_APPLICATION_CREDENTIALS_JSON (the key of a service
    account); HF_TOKEN and HF_ENDPOINT; HTTP_BEARER_TOKEN, or HTTP_USERNAME and HTTP_PASSWORD, with HTTP_ORIGIN (such as
    https://models.example) for who may see them. Only the container that fetches sees them; other keys nobody."""
    format: ModelFormat | None = None
    """What the model is. Without it, it is found out by its content, in the image with TensorFlow; formats of other
    frameworks (TorchScript, TorchExport, StableBaselines3, RLlib) must be said, for each has an image of its own. A
    Bundle (made by `policyserver import`) and ONNX, where it is said, need the server's image alone."""
    trust: bool = False
    """Whether the model may run code of its own while it is converted, once, in a process without network and
    credentials that can write its own folder alone. Formats made of Python pickles (RLlib, StableBaselines3,
    TorchExport) and Keras models with Lambda layers need it. Say true only where you trust whoever made the model."""
    model_output: ModelOutput | None = None
    """What the outputs of a model for one discrete action mean, where its format (ONNX, Keras, TorchScript,
    TorchExport, SavedModel) doesn't say: Logits (an action is drawn), Probabilities (as after a softmax; an action is
    drawn), QValues (as of a DQN; the best action is taken). Without it, probabilities are recognised, and other outputs
    are taken for Logits; of Keras models they are refused."""


CheckedScaling = Annotated[ScalingConfig, ScalingRules()]


class Policy(Model):
    """One of several policies."""

    model_uri: ModelUri
    """Where the trained model is, as spec.modelUri has it."""
    name: PolicyName
    """Its name in answers, metrics and status."""
    weight: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Mode ABTest: its part of the traffic, in any unit; 1 if not said. With 0 it is loaded and gets nothing."""
    shadow: bool = False
    """Whether it gets no traffic of its own, but answers beside the policy that was chosen, to be compared with it."""
    scaling: CheckedScaling | None = None
    """With engine RayServe, how many processes of Ray answer for it; where not said, as `ray.scaling` says."""


class Redis(ConfigModel):
    """A Redis or Valkey."""

    url: Annotated[
        str,
        StringConstraints(
            pattern=r"^rediss?://([^@:/?#]+@)?([^@:/?#\[\]]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[0-9]{1,4})?$",
            max_length=1024,
        ),
    ]
    """Where it is: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS. A password goes into a Secret."""
    password_secret: SecretReference | None = None
    """The Secret with its password, under the key `password`."""


class RouterStore(ConfigModel):
    """Where a router keeps what it learns."""

    redis: Redis
    """A Redis or Valkey of your own, which several routers may share."""


class Router(RouterConfig):
    """How a router chooses; all but its store may change while the router runs, without a restart."""

    store: RouterStore | None = None
    """Where it keeps what it learns. Without it, one replica keeps it in a file of its pod, and several share a small
    Valkey that the operator runs."""


Policies = Annotated[
    list[Policy],
    Field(
        min_length=1,
        max_length=MOST_POLICIES,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]
CheckedRouter = Annotated[Router, RouterRules()]


@dataclass(frozen=True)
class RoutingRule:
    """What must hold between policies and router: in CEL of the spec, and in Python."""

    message: str
    cel: str
    broken: Callable[[Sequence[Policy], Router | None], bool]

    def validation(self) -> JsonDict:
        """The rule for the API server."""
        return {"rule": self.cel, "message": self.message}


def answering(policies: Sequence[Policy]) -> list[Policy]:
    """Those that a router chooses among."""
    return [policy for policy in policies if not policy.shadow]


def _unknown(name: str | None, policies: Sequence[Policy]) -> bool:
    return name is not None and name not in {policy.name for policy in answering(policies)}


def _by_weight(router: Router | None) -> bool:
    return router is None or router.mode == RouterMode.AB_TEST


_ANSWERING = "self.policies.filter(each, !each.shadow).size()"

ROUTING_RULES = (
    RoutingRule(
        "router chooses among policies: write policies instead of modelUri, or remove router",
        "!has(self.router) || has(self.policies)",
        lambda policies, router: router is not None and not policies,
    ),
    RoutingRule(
        "several policies need a router: say its mode in router, or make all but one of them shadows",
        f"!has(self.policies) || has(self.router) || {_ANSWERING} <= 1",
        lambda policies, router: router is None and len(answering(policies)) > 1,
    ),
    RoutingRule(
        "all policies are shadows: one at least must answer",
        "!has(self.policies) || self.policies.exists(each, !each.shadow)",
        lambda policies, _: bool(policies) and not answering(policies),
    ),
    RoutingRule(
        "weight is for mode ABTest: remove it from the policies, or change the router's mode",
        "!has(self.policies) || !has(self.router) || self.router.mode == 'ABTest'"
        " || !self.policies.exists(each, has(each.weight))",
        lambda policies, router: not _by_weight(router) and any(policy.weight is not None for policy in policies),
    ),
    RoutingRule(
        "no policy that answers has a weight: give one at least more than 0",
        "!has(self.policies) || (has(self.router) && self.router.mode != 'ABTest')"
        " || !self.policies.exists(each, !each.shadow)"
        " || self.policies.exists(each, !each.shadow && (!has(each.weight) || each.weight > 0.0))",
        lambda policies, router: (
            _by_weight(router) and bool(policies := answering(policies)) and all(one.weight == 0 for one in policies)
        ),
    ),
    RoutingRule(
        "mode Canary needs two policies that aren't shadows: the stable one, and the one that canary names",
        "!has(self.policies) || !has(self.router) || !has(self.router.canary)"
        f" || ({_ANSWERING} == 2 && self.policies.exists(each, !each.shadow && each.name == self.router.canary))",
        lambda policies, router: (
            bool(policies)
            and router is not None
            and router.canary is not None
            and (len(answering(policies)) != 2 or _unknown(router.canary, policies))
        ),
    ),
    RoutingRule(
        "fallback must name one of the policies that aren't shadows",
        "!has(self.policies) || !has(self.router) || !has(self.router.fallback)"
        " || self.policies.exists(each, !each.shadow && each.name == self.router.fallback)",
        lambda policies, router: bool(policies) and router is not None and _unknown(router.fallback, policies),
    ),
)
