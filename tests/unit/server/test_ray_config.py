import pytest
from pydantic import ValidationError

from policy_server.config import SCALING_ORDER_RULE, SCALING_RULE, SCALING_TARGET_RULE, ScalingConfig


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({}, SCALING_RULE),
        ({"replicas": 1, "minReplicas": 1, "maxReplicas": 2}, SCALING_RULE),
        ({"minReplicas": 1}, SCALING_RULE),
        ({"replicas": 1, "maxReplicas": 2}, SCALING_RULE),
        ({"minReplicas": 2, "maxReplicas": 1}, SCALING_ORDER_RULE),
        ({"replicas": 1, "targetOngoingRequests": 2}, SCALING_TARGET_RULE),
        ({"replicas": 1, "cpus": 0}, "greater than 0"),
        ({"replicas": 0}, "greater than or equal to 1"),
    ],
)
def test_scaling_that_contradicts_itself_is_refused_with_the_rule(told: dict[str, float], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        ScalingConfig.model_validate(told)


@pytest.mark.parametrize("told", [{"replicas": 3, "cpus": 0.5}, {"minReplicas": 2, "maxReplicas": 2}])
def test_either_way_of_scaling_is_taken(told: dict[str, float]) -> None:
    assert ScalingConfig.model_validate(told).model_dump(by_alias=True, exclude_unset=True) == told
