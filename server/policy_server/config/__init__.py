"""What a server process is told: the one package that the operator shares with the server.

It needs pydantic alone, so that the operator's image carries nothing that serves.
Field descriptions are written for `kubectl explain`, because the resource reuses these models.
"""

from policy_server.config.base import ConfigModel, first_problem
from policy_server.config.clients import ClientLanguage
from policy_server.config.models import MODEL_CREDENTIALS, Framework, ModelFormat, ModelOutput
from policy_server.config.ray import (
    SCALING_ORDER_RULE,
    SCALING_RULE,
    SCALING_TARGET_RULE,
    RayConfig,
    ScalingConfig,
    replicas_problems,
)
from policy_server.config.routing import (
    CANARY_RULE,
    DEFAULT_RULE,
    EPSILON_RULE,
    HORIZON_RULE,
    LEARNING,
    MIN_PULLS_RULE,
    DecisionLog,
    Duration,
    EpisodeReturn,
    PolicyName,
    RewardBounds,
    RewardDiscount,
    RouterConfig,
    RouterMode,
    RouterSettingsFile,
    seconds,
)
from policy_server.config.schema import Observation, ObservationType, Schema, Width
from policy_server.config.server import (
    EPISODE,
    EPISODE_RULE,
    PolicyConfig,
    RoutingConfig,
    ServerConfig,
    StoreConfig,
    hides_episodes,
)

__all__ = [
    "CANARY_RULE",
    "DEFAULT_RULE",
    "EPISODE",
    "EPISODE_RULE",
    "EPSILON_RULE",
    "HORIZON_RULE",
    "LEARNING",
    "MIN_PULLS_RULE",
    "MODEL_CREDENTIALS",
    "SCALING_ORDER_RULE",
    "SCALING_RULE",
    "SCALING_TARGET_RULE",
    "ClientLanguage",
    "ConfigModel",
    "DecisionLog",
    "Duration",
    "EpisodeReturn",
    "Framework",
    "ModelFormat",
    "ModelOutput",
    "Observation",
    "ObservationType",
    "PolicyConfig",
    "PolicyName",
    "RayConfig",
    "RewardBounds",
    "RewardDiscount",
    "RouterConfig",
    "RouterMode",
    "RouterSettingsFile",
    "RoutingConfig",
    "ScalingConfig",
    "Schema",
    "ServerConfig",
    "StoreConfig",
    "Width",
    "first_problem",
    "hides_episodes",
    "replicas_problems",
    "seconds",
]
