"""Playing episodes."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from policy_client.acting import Policy
from policy_client.observations import plain
from policy_client.summary import Episode, Rewards, Rollout

if TYPE_CHECKING:  # as in acting.py
    from policy_client.simulation import Simulation

WriteLine = Callable[[Sequence[Any]], object]


def roll_out(
    simulation: Simulation,
    policy: Policy,
    out_csv: str | Path | None = None,
    summary_csv: str | Path | None = None,
    num_episodes: int = 1,
    sleep: float | None = None,
) -> Rollout:
    """Plays episodes; see `Simulation.run`, whose arguments these are."""
    if num_episodes < 1:
        raise ValueError(f"num_episodes is {num_episodes}: give at least 1")
    episodes: list[Episode] = []
    rollout = Rollout(episodes)
    try:
        with _lines(out_csv, simulation.number_of_agents()) as write:
            # On standard error, and only where a person watches.
            numbers = tqdm(range(num_episodes), unit="episode", disable=None, leave=False)
            # One by one, so that those before a failure are kept.
            episodes.extend(_play(simulation, policy, number, write, sleep) for number in numbers)
    finally:
        if summary_csv is not None:
            rollout.write(Path(summary_csv))
    print(rollout.table())
    return rollout


def _play(
    simulation: Simulation, policy: Policy, episode: int, write: WriteLine | None, sleep: float | None
) -> Episode:
    simulation.reset()
    policy.begin_episode()
    agents = range(simulation.number_of_agents())
    rewards: Rewards = {}
    done = [False for _ in agents]
    step = 0
    while not all(done):
        if sleep:
            time.sleep(sleep)
        observations = [plain(simulation.get_observation(agent)) for agent in agents] if write else []
        actions = policy.get_actions(simulation)
        simulation.set_action(actions)
        simulation.step()
        given = [simulation.get_reward(agent) for agent in agents]
        earned = [0.0 if done[agent] else float(sum(given[agent].values())) for agent in agents]
        for agent in agents:
            if not done[agent]:  # what comes after its end isn't its own doing
                for term, reward in given[agent].items():
                    name = f"reward_{agent}_{term}"
                    rewards[name] = rewards.get(name, 0.0) + float(reward)
        done = [bool(simulation.is_done(agent)) for agent in agents]
        if write:
            metrics = [simulation.get_metrics(agent) for agent in agents]
            cells = [*observations, *(actions[agent] for agent in agents), *given, *metrics, *done]
            write([episode, step, *("" if cell is None else json.dumps(plain(cell)) for cell in cells)])
        policy.take_rewards(earned, done)
        step += 1
    return Episode(step, rewards)


@contextmanager
def _lines(file: str | Path | None, agents: int) -> Iterator[WriteLine | None]:
    """Opens the CSV of all steps and writes its header; gives what writes a line, or None without a file."""
    if file is None:
        yield None
        return
    kinds = ("observations", "actions", "rewards", "metrics", "done")
    with Path(file).open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["Episode", "Step", *(f"{kind}_{agent}" for kind in kinds for agent in range(agents))])
        yield writer.writerow
