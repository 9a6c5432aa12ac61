"""Plays episodes against served policies, with the interface of Pathmind's Python package.

Where it says `pathmind.simulation` and `pathmind.policy`, `policy_client.simulation` and `policy_client.policy` do; a
subclass of its Simulation runs unchanged. Training in Pathmind's cloud is not part of it.
"""

from policy_client.errors import MissingDependency, NotFinite, PolicyError, Refused, Unauthorized, Unavailable
from policy_client.gymnasium_simulation import GymnasiumSimulation
from policy_client.pettingzoo_simulation import PettingZooSimulation
from policy_client.policy import AsyncServer, Local, Policy, Random, Server
from policy_client.simulation import Continuous, Discrete, Simulation
from policy_client.summary import Episode, Rollout

__all__ = [
    "AsyncServer",
    "Continuous",
    "Discrete",
    "Episode",
    "GymnasiumSimulation",
    "Local",
    "MissingDependency",
    "NotFinite",
    "PettingZooSimulation",
    "Policy",
    "PolicyError",
    "Random",
    "Refused",
    "Rollout",
    "Server",
    "Simulation",
    "Unauthorized",
    "Unavailable",
]
