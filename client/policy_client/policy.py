"""Policies, under the names that Pathmind's `pathmind.policy` has."""

from policy_client.acting import Policy
from policy_client.async_server import AsyncServer
from policy_client.chance import Random
from policy_client.local import Local
from policy_client.server import Server

__all__ = ["AsyncServer", "Local", "Policy", "Random", "Server"]
