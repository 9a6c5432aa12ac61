"""What a PolicyServer may and may not say of its engine; the API server and our model judge alike."""

from policy_server.config import SCALING_ORDER_RULE, SCALING_RULE, SCALING_TARGET_RULE
from tests.routing_cases import Spec, policy, routed

NO_RAY = "ray is for engine RayServe: say engine: RayServe, or remove ray"
NO_SCALING = "scaling is for engine RayServe: say engine: RayServe, or remove scaling from the policies"
REPLICAS = "beside ray.workers, replicas is 1, or 0 for no pods at all: say in ray.workers how many serve"
RESOURCES = "resources are those of a pod that serves alone: beside ray.workers, say them in ray.workers.resources"
FIXED = {"replicas": 2}
SCALED = {"minReplicas": 1, "maxReplicas": 4}


def by_ray(**ray: Spec) -> Spec:
    """The part of a spec that says engine RayServe, and how it is scaled."""
    return {"engine": "RayServe"} | ({"ray": ray} if ray else {})


REFUSED: list[tuple[Spec, str]] = [
    ({"ray": {"scaling": FIXED}}, NO_RAY),
    ({"engine": "InProcess", "ray": {"workers": FIXED}}, NO_RAY),
    (routed(policy("a", scaling=FIXED)), NO_SCALING),
    (by_ray(workers=FIXED) | {"replicas": 2}, REPLICAS),
    (by_ray(workers=FIXED) | {"resources": {"limits": {"cpu": 2}}}, RESOURCES),
    (by_ray(workers={"resources": {"limits": {"cpu": 2}}}), SCALING_RULE),
    (by_ray(workers=FIXED | SCALED), SCALING_RULE),
    (by_ray(workers={"minReplicas": 2}), SCALING_RULE),
    (by_ray(workers={"minReplicas": 2, "maxReplicas": 1}), SCALING_ORDER_RULE),
    (by_ray(scaling={"cpus": 2}), SCALING_RULE),
    (by_ray(scaling={"maxReplicas": 2}), SCALING_RULE),
    (by_ray(scaling={"minReplicas": 2, "maxReplicas": 1}), SCALING_ORDER_RULE),
    (by_ray(scaling=FIXED | {"targetOngoingRequests": 2}), SCALING_TARGET_RULE),
    (by_ray() | routed(policy("a", scaling=FIXED | SCALED)), SCALING_RULE),
]
"""What is refused, each with a part of the message."""

TAKEN: list[Spec] = [
    {"engine": "InProcess"},
    by_ray() | {"replicas": 3, "resources": {"limits": {"cpu": 4}}},
    by_ray(scaling=SCALED | {"targetOngoingRequests": 1.5, "cpus": 0.5}),
    by_ray(scaling=FIXED, workers=SCALED | {"resources": {"limits": {"cpu": 4, "memory": "8Gi"}}}),
    by_ray(workers=FIXED) | {"replicas": 0},
    by_ray() | routed(policy("a", scaling=FIXED | {"cpus": 2}), policy("b", scaling=SCALED), mode="UCB1"),
]
