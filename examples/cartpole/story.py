"""CartPole from training to traffic on this machine: `make cartpole` runs it.

Trains once, then serves three of the models under a router that learns (router.yaml) and under one that doesn't
(abtest.yaml), plays against both, and draws who answered.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gymnasium
from tqdm import tqdm

from examples.cartpole.play import ENVIRONMENT, LAST, play, share, table, write
from examples.cartpole.plot import Unit, draw
from policy_client import Server

HERE = Path(__file__).parent
KEY = "change-me"
GOOD = "cartpole-2"
ENOUGH = 0.85


def main() -> None:
    """Trains, serves, plays, draws; the exit code is 1 unless the router found the good policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/cartpole"), help="default: %(default)s")
    parser.add_argument("--episodes", type=int, default=300, help="default: %(default)s")
    parser.add_argument(
        "--steps",
        type=int,
        default=200,
        help="at which an episode ends, as in CartPole-v0; what drops the pole does so after some 20",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args()
    output: Path = options.output.absolute()
    if not (output / GOOD / "bundle" / "policy.json").exists():
        subprocess.run([sys.executable, "-m", "examples.cartpole.train", "--output", str(output)], check=True)
    shares = {}
    for name, title in (("abtest", "A/B test in equal parts"), ("router", "Epsilon-greedy router, epsilon 0.1")):
        with served(HERE / f"{name}.yaml", output, options.seed) as url:
            units = episodes(url, options.episodes, options.steps, options.seed)
        write(units, output / f"{name}.csv")
        draw(units, output / f"{name}.svg", title)
        shares[name] = share(units, GOOD)
        print(f"\n{title}\n{table(units)}\ndrawn in {output / name}.svg", flush=True)
    learned, fixed = shares["router"], shares["abtest"]
    print(f"\nOf the last {LAST} episodes {GOOD} got {learned:.0%} by the router, {fixed:.0%} by the A/B test.")
    if learned < ENOUGH:
        parser.exit(1, f"error: at least {ENOUGH:.0%} were expected\n")


def episodes(url: str, number: int, steps: int, seed: int) -> list[Unit]:
    """Plays against what is served."""
    environment = gymnasium.make(ENVIRONMENT, max_episode_steps=steps)
    with closing(environment), Server(url, KEY, feedback="episode") as server:
        units = play(server, environment, number, seed)
        return list(tqdm(units, total=number, unit="episode", disable=None))


@contextmanager
def served(manifest: Path, models: Path, seed: int) -> Iterator[str]:
    """Runs `policyserver up` on a manifest for a cluster, whose volume is a folder here; gives the URL."""
    with tempfile.TemporaryDirectory() as state:
        here = Path(state) / manifest.name
        here.write_text(manifest.read_text().replace("pvc://cartpole-models", models.as_uri()))
        port, metrics_port = _free_ports()
        command = [sys.executable, "-m", "policy_operator.cli", "up", str(here), "--seed", str(seed)]
        command += ["--port", str(port), "--metrics-port", str(metrics_port)]
        # What a router of this name has learned elsewhere is neither used nor changed.
        environment = dict(os.environ) | {"XDG_STATE_HOME": state}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                if not any(line.startswith("Serving") for line in process.stdout or ()):
                    sys.exit("error: the policies are not served")  # and it has said why
                yield f"http://localhost:{port}/cartpole"
            finally:
                process.terminate()


def _free_ports() -> tuple[int, int]:
    with closing(socket.socket()) as one, closing(socket.socket()) as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


if __name__ == "__main__":
    main()
