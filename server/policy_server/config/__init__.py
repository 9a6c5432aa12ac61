"""What a server process is told: the one package that the operator shares with the server.

It needs pydantic alone, so that the operator's image carries nothing that serves.
Field descriptions are written for `kubectl explain`, because the resource reuses these models.
"""

from policy_server.config.base import ConfigModel, first_problem
from policy_server.config.models import MODEL_CREDENTIALS, Framework, ModelFormat, ModelOutput
from policy_server.config.routing import (
    CANARY_RULE,
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
from policy_server.config.server import EPISODE, PolicyConfig, RoutingConfig, ServerConfig, StoreConfig

__all__ = [
    "CANARY_RULE",
    "EPISODE",
    "EPSILON_RULE",
    "HORIZON_RULE",
    "LEARNING",
    "MIN_PULLS_RULE",
    "MODEL_CREDENTIALS",
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
    "RewardBounds",
    "RewardDiscount",
    "RouterConfig",
    "RouterMode",
    "RouterSettingsFile",
    "RoutingConfig",
    "Schema",
    "ServerConfig",
    "StoreConfig",
    "Width",
    "first_problem",
    "seconds",
]
