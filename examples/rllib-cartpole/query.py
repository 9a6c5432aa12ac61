"""Plays CartPole-v1, and asks for each action as the client of Ray's tutorial "Serving RLlib Models" does.

    python examples/rllib-cartpole/query.py      # pip install requests gymnasium

That is a GET with a body, which knows nothing of policyserver: `{"observation": [...]}`, answered by `{"action": 1}`.
"""

import argparse

import gymnasium
import requests


def main() -> None:
    """Plays episodes and prints what each was worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:8000/cartpole-ppo", help="default: %(default)s")
    parser.add_argument("--episodes", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    environment = gymnasium.make("CartPole-v1")
    for _ in range(options.episodes):
        observation, _ = environment.reset()
        ended, total = False, 0.0
        while not ended:
            answer = requests.get(options.url, json={"observation": observation.tolist()}, timeout=30)
            answer.raise_for_status()
            observation, reward, terminated, truncated, _ = environment.step(answer.json()["action"])
            ended, total = terminated or truncated, total + float(reward)
        print(f"return {total:.0f}")


if __name__ == "__main__":
    main()
