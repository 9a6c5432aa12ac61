"""What a PolicyServer may and may not say of policies and router; the API server and our model judge alike."""

from typing import Any

from policy_server.config import CANARY_RULE, DEFAULT_RULE, EPSILON_RULE, HORIZON_RULE, MIN_PULLS_RULE

Spec = dict[str, Any]
URI = "https://models.example/mouse.zip"
OWN_MODEL = (
    "sha256, modelCredentials, format, trust and modelOutput go with modelUri: beside policies, say them in each policy"
)
NO_WEIGHT = "no policy that answers has a weight: give one at least more than 0"
CANARY = "mode Canary needs two policies that aren't shadows: the stable one, and the one that canary names"
FALLBACK = "fallback must name one of the policies that aren't shadows"
WEIGHT = "weight is for mode ABTest: remove it from the policies, or change the router's mode"
SEVERAL = "several policies need a router: say its mode in router, or make all but one of them shadows"
SHADOWS = "all policies are shadows: one at least must answer"


def policy(name: str, **fields: Any) -> Spec:
    """One policy of several."""
    return {"name": name, "modelUri": URI} | fields


def routed(*policies: Spec, mode: str | None = None, **router: Any) -> Spec:
    """The part of a spec that is about policies a, b and so on, or the given ones, and their router."""
    spec: Spec = {"modelUri": None, "policies": list(policies or (policy("a"), policy("b")))}
    return spec | ({"router": {"mode": mode, **router}} if mode else {})


REFUSED: list[tuple[Spec, str]] = [
    ({"modelUri": None}, "give exactly one of modelUri and policies"),
    (routed(policy("a")) | {"modelUri": URI}, "give exactly one of modelUri and policies"),
    (routed(policy("a")) | {"sha256": "a" * 64}, OWN_MODEL),
    (routed(policy("a")) | {"modelCredentials": {"name": "keys"}}, OWN_MODEL),
    (routed(policy("a")) | {"format": "ONNX"}, OWN_MODEL),
    (routed(policy("a")) | {"trust": True}, OWN_MODEL),
    (routed(policy("a")) | {"modelOutput": "Logits"}, OWN_MODEL),
    (
        {"router": {"mode": "ABTest"}},
        "router chooses among policies: write policies instead of modelUri, or remove router",
    ),
    (routed(), SEVERAL),
    (routed(policy("a"), policy("b"), policy("c", shadow=True)), SEVERAL),
    (routed(policy("a", shadow=True)), SHADOWS),
    (routed(policy("a", shadow=True), policy("b", shadow=True), mode="UCB1"), SHADOWS),
    (routed(policy("a", weight=1), policy("b"), mode="EpsilonGreedy"), WEIGHT),
    (routed(policy("a", weight=0), policy("b"), mode="Canary", canary="b"), WEIGHT),
    (routed(policy("a", weight=0), policy("b", weight=0), mode="ABTest"), NO_WEIGHT),
    (routed(policy("a", weight=0), policy("b", shadow=True)), NO_WEIGHT),
    (routed(policy("a"), policy("b"), policy("c"), mode="Canary", canary="c"), CANARY),
    (routed(policy("a"), policy("b"), mode="Canary", canary="c"), CANARY),
    (routed(policy("a"), policy("b"), policy("c", shadow=True), mode="Canary", canary="c"), CANARY),
    (routed(policy("a"), mode="Canary", canary="a"), CANARY),
    (routed(mode="UCB1", fallback="c"), FALLBACK),
    (routed(policy("a"), policy("b", shadow=True), mode="ABTest", fallback="b"), FALLBACK),
    (routed(mode="UCB1", epsilon=0.1), EPSILON_RULE),
    (routed(mode="Canary"), CANARY_RULE),
    (routed(mode="ABTest", canary="a"), CANARY_RULE),
    (routed(mode="ABTest", canaryPercent=5), CANARY_RULE),
    (routed(mode="ABTest", minPulls=5), MIN_PULLS_RULE),
    (routed(mode="UCB1", window="1h", discount={"factor": 0.5, "every": "1h"}), HORIZON_RULE),
    (routed(mode="UCB1", reward={"min": -1}, defaultReward=1.5), DEFAULT_RULE),
    (routed(mode="UCB1", reward={"min": 1, "max": 2}, defaultReward=0), DEFAULT_RULE),
]
"""What is refused, each with a part of the message."""

TAKEN: list[Spec] = [
    routed(policy("a")),
    routed(policy("a", weight=3)),
    routed(policy("a"), policy("b", shadow=True)),
    routed(policy("a"), policy("b", shadow=True, weight=0), mode="ABTest", fallback="a"),
    routed(policy("a", weight=0), policy("b", weight=0.5), mode="ABTest"),
    routed(policy("a"), policy("b"), policy("c", shadow=True), mode="Canary", canary="b", canaryPercent=0),
    routed(
        mode="EpsilonGreedy", epsilon=0, minPulls=3, reward={"min": -1}, defaultReward=-1, window="90m", fallback="b"
    ),
    routed(mode="ThompsonSampling", minPulls=3, discount={"factor": 0.5, "every": "1h30m"}, decisionLog={}),
    routed(mode="UCB1", freeze=True, store={"redis": {"url": "rediss://user@[fd00::1]:6380/3"}}),
    routed(mode="UCB1", store={"redis": {"url": "redis://valkey", "passwordSecret": {"name": "valkey"}}}),
    routed(
        *(
            policy(f"p{number}", sha256="a" * 64, modelCredentials={"name": "keys"}, format="Keras", trust=True)
            for number in range(16)
        ),
        mode="UCB1",
    ),
]
