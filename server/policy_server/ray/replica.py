"""One process of Ray that runs a policy's model; it knows neither requests nor routers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray import serve

from policy_server.config import PolicyConfig, ScalingConfig, ServerConfig
from policy_server.errors import BundleError, InferenceFailed
from policy_server.policy import SLOW_SECONDS, Policy, Tensors

MOST_TOGETHER = 8
"""How many requests that wait are answered by one inference, at most."""
_PAYS = 0.5
"""At which part of the time that they take one by one that pays."""
ONGOING = 4
"""How many requests are at one replica at a time; the others wait where they arrived, for whichever is free first.

With more, they pile up at one while another has nothing to do; with fewer, both wait for requests that Ray holds back.
"""
QUIET = {"log_level": "WARNING", "enable_access_log": False}
"""What is said of requests: nothing. The metrics count each."""
COMMON_OPTIONS: dict[str, Any] = {
    "graceful_shutdown_timeout_s": 20,  # for what has begun
    "graceful_shutdown_wait_loop_s": 0.1,
    "health_check_period_s": 2,
    "health_check_timeout_s": 10,
    "logging_config": QUIET,
}
"""What all deployments have in common."""

Answer = list[NDArray[np.float32]]
"""What the model makes of one request: the parameters `(rows, parameters)`, and its memory if it has one."""


class About(NamedTuple):
    """What a replica says of its policy.

    Attributes:
        seconds: how long one inference takes.
        digest: the model's.
    """

    seconds: float
    digest: str


class PolicyReplica:
    """Runs the model of one bundle.

    One that can't be loaded is tried again when it is asked `about`: Ray would not let the others begin without it.

    Args:
        bundle: its folder.
        threads: how many inferences run at a time.
    """

    def __init__(self, bundle: str, threads: int) -> None:
        self._bundle = Path(bundle)
        self._pool = ThreadPoolExecutor(threads, "inference")
        self._policy: Policy | None = None
        self._together = False
        with suppress(BundleError):
            self._load()

    async def about(self) -> About:
        """Returns what there is to know of the policy; raises BundleError where it can't be loaded."""
        policy = self._policy
        if policy is None:
            policy = await asyncio.get_running_loop().run_in_executor(self._pool, self._load)
        return About(policy.seconds, policy.manifest.model_sha256)

    async def outputs(self, inputs: Tensors) -> Answer:
        """Returns what the model makes of its inputs; raises InferenceFailed."""
        policy = self._policy
        if policy is None:
            raise InferenceFailed(f"{self._bundle} couldn't be loaded")
        if policy.seconds < SLOW_SECONDS:
            return policy.outputs(inputs)  # handing it over would take as long
        if self._together:
            answer: Answer = await self._outputs_together(inputs)
            return answer
        return await asyncio.get_running_loop().run_in_executor(self._pool, policy.outputs, inputs)

    @serve.batch(max_batch_size=MOST_TOGETHER, batch_wait_timeout_s=0)
    async def _outputs_together(self, requests: Sequence[Tensors]) -> list[Any]:
        """Answers the requests that came during the last inference by one, or each alone where that fails."""
        loop = asyncio.get_running_loop()
        run = self._policy.outputs if self._policy else None
        assert run is not None  # noqa: S101 -- `outputs` has looked
        try:
            outputs = await loop.run_in_executor(self._pool, run, _joined(requests))
        except InferenceFailed:
            alone = (loop.run_in_executor(self._pool, run, inputs) for inputs in requests)
            return await asyncio.gather(*alone, return_exceptions=True)
        ends = np.cumsum([_rows(inputs) for inputs in requests])[:-1]
        return [list(parts) for parts in zip(*(np.split(output, ends) for output in outputs), strict=True)]

    def _load(self) -> Policy:
        policy = Policy.load(self._bundle)
        self._together = policy.seconds >= SLOW_SECONDS and _pays_together(policy)
        self._policy = policy
        return policy


def _pays_together(policy: Policy) -> bool:
    """Whether one inference of many rows takes much less time than one for each."""
    inputs: dict[str, Any] = {
        policy.manifest.input: np.zeros((MOST_TOGETHER, policy.manifest.observation_size), np.float32)
    }
    if policy.recurrence is not None:
        inputs |= policy.recurrence.inputs(policy.recurrence.opened([None] * MOST_TOGETHER))
    start = perf_counter()
    try:
        policy.outputs(inputs)
    except InferenceFailed:
        return False
    return perf_counter() - start < _PAYS * MOST_TOGETHER * policy.seconds


def _joined(requests: Sequence[Tensors]) -> Tensors:
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}


def _rows(inputs: Tensors) -> int:
    return len(next(iter(inputs.values())))


def scaling_of(config: ServerConfig, policy: PolicyConfig) -> ScalingConfig:
    """Returns how many replicas a policy has."""
    return policy.scaling or (config.ray and config.ray.scaling) or ScalingConfig(replicas=1)


def replicas_of(config: ServerConfig, policy: PolicyConfig, *, place: bool) -> Any:
    """Returns the application of Ray Serve that answers for a policy.

    Args:
        config: the server's.
        policy: which of its policies.
        place: whether Ray is to look for nodes with the CPUs that replicas take; on one machine there is no choice.
    """
    told = scaling_of(config, policy)
    options: dict[str, Any] = {"num_replicas": told.replicas}
    if told.replicas is None:
        options = {
            "autoscaling_config": {
                "min_replicas": told.min_replicas,
                "max_replicas": told.max_replicas,
                "target_ongoing_requests": told.target_ongoing_requests or 2,
            }
        }
    deploy: Any = serve.deployment(
        name=policy.name,
        max_ongoing_requests=ONGOING,
        ray_actor_options={"num_cpus": told.cpus if place else 0},
        **COMMON_OPTIONS,
        **options,
    )
    return deploy(PolicyReplica).bind(str(policy.bundle), ceil(told.cpus))
