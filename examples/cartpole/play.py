"""Plays CartPole-v1 with what a server's router chooses, and tells the router what it was worth.

    policyserver up router.yaml
    python -m examples.cartpole.play --url http://localhost:8000/cartpole --plot share.svg

By `--protocol policyserver` an episode stays with one policy, and the router learns from its return; by `--protocol
seldon` each step is a decision with a reward of its own, as cartpole-rl-remote had it.
"""

import argparse
import csv
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import Any

import gymnasium
from tqdm import tqdm

from examples.cartpole.plot import Unit, draw
from examples.cartpole.seldon import SeldonAgent
from policy_client import GymnasiumSimulation, PolicyError, Server

ENVIRONMENT = "CartPole-v1"
NAMES = ["cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity"]
LAST = 100


def play(agent: Server | SeldonAgent, environment: gymnasium.Env[Any, Any], episodes: int, seed: int) -> Iterator[Unit]:
    """Plays episodes, and gives what the router decided in them."""
    simulation = GymnasiumSimulation(environment, NAMES, seed)
    for episode in range(episodes):
        simulation.reset()
        agent.begin_episode()
        steps, total = 0, 0.0
        while not simulation.is_done(0):
            simulation.set_action(agent.get_actions(simulation))
            simulation.step()
            reward, done = simulation.get_reward(0)["reward"], simulation.is_done(0)
            agent.take_rewards([reward], [done])
            steps, total = steps + 1, total + reward
            if isinstance(agent, SeldonAgent):
                yield Unit(episode, agent.policies[0], 1, 0.0 if done else reward)
        if isinstance(agent, Server):
            yield Unit(episode, agent.policies[0], steps, total)


def share(units: list[Unit], policy: str) -> float:
    """Returns the part of the last units that a policy had."""
    last = units[-LAST:]
    return sum(unit.policy == policy for unit in last) / len(last)


def table(units: list[Unit]) -> str:
    """Returns how often each policy was chosen, and its mean reward, as text."""
    lines = [f"{'policy':20}  {'chosen':>8}  {f'of last {LAST}':>12}  {'mean reward':>12}"]
    for policy in sorted({unit.policy for unit in units}):
        rewards = [unit.reward for unit in units if unit.policy == policy]
        lines.append(f"{policy:20}  {len(rewards):8}  {share(units, policy):12.0%}  {fmean(rewards):12.4g}")
    return "\n".join(lines)


def write(units: list[Unit], file: Path) -> None:
    """Writes a line for each unit."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(Unit._fields)
        writer.writerows(units)


def main() -> None:
    """Plays, and shows what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="what stands before /predict/")
    parser.add_argument("--protocol", choices=["policyserver", "seldon"], default="policyserver")
    parser.add_argument("--episodes", type=int, default=300, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=500, help="at which an episode ends (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the environment (default: %(default)s)")
    parser.add_argument("--render", action="store_true", help="show it; needs gymnasium[classic-control]")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each episode, or Seldon's step")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the policies' shares and mean rewards")
    parser.add_argument("--title", default="CartPole", help="of the plot")
    options = parser.parse_args()
    key = os.environ.get("POLICYSERVER_API_KEY", "change-me")
    environment = gymnasium.make(
        ENVIRONMENT, max_episode_steps=options.steps, render_mode="human" if options.render else None
    )
    units: list[Unit] = []
    try:
        if options.protocol == "seldon":
            agent: Server | SeldonAgent = SeldonAgent(options.url, key)
        else:
            agent = Server(options.url, key, feedback="episode")
        with environment, closing(agent), tqdm(total=options.episodes, unit="episode", disable=None) as bar:
            for unit in play(agent, environment, options.episodes, options.seed):
                units.append(unit)
                bar.update(unit.episode + 1 - bar.n)
                bar.set_postfix(policy=unit.policy, reward=f"{unit.reward:g}")
    except PolicyError as error:
        parser.exit(1, f"error: {error}\n")
    print(table(units))
    if options.csv:
        write(units, options.csv)
    if options.plot:
        draw(units, options.plot, options.title)


if __name__ == "__main__":
    main()
