"""Ray's RLlib tutorial as `examples/rllib-cartpole` tells it: its README's own commands, one after the other."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import gymnasium
import pytest

from policy_client import GymnasiumSimulation, Local
from tests.documentation import ROOT, blocks, commands
from tests.frameworks import python_of
from tests.integration.ray.ray_processes import REPLICA, titled
from tests.serving import Up

README = ROOT / "examples" / "rllib-cartpole" / "README.md"
BUNDLE = Path("build") / "rllib-cartpole" / "bundle"
TRAIN, IMPORT, UP, QUERY = islice((words for block in blocks(README) for words in commands(block.text)), 4)

pytestmark = pytest.mark.timeout(900)  # the first one trains


def run(*command: object, **environment: str) -> str:
    """Runs a command to its end; returns what it prints."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=600, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where somebody has trained and imported, as in a clone of the repository; it is the current one."""
    python = python_of("rllib")
    folder = tmp_path_factory.mktemp("clone")
    (folder / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Short, for sockets go there; Ray's processes end a little later than what started them.
        with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray:
            run(python, *TRAIN[1:], HOME=ray, RAY_TMPDIR=ray, RAY_USAGE_STATS_ENABLED="0", CUDA_VISIBLE_DEVICES="-1")
        # As where RLlib is installed beside `policyserver`, which has its converting process run by it.
        program = f"import sys; sys.executable = {str(python)!r}; from policy_operator.cli import main; main()"
        said = run(sys.executable, "-c", program, *IMPORT[1:], PYTHONPATH=str(ROOT / "server"))
        assert "4 observations in, Categorical 2 out" in said
        yield folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Up]:
    """The bundle, served by Ray."""
    with Up(*map(Path, UP[2:]), options=("--seed", "1"), cache=folder) as up:
        yield up


def test_what_was_trained_balances_the_pole(folder: Path) -> None:
    with gymnasium.make("CartPole-v1") as environment:
        rollout = GymnasiumSimulation(environment, seed=3).run(Local(folder / BUNDLE, seed=3), num_episodes=20)
    assert sum(episode.total for episode in rollout.episodes) / 20 >= 150


@pytest.mark.parametrize("path", ["/", "/cartpole-ppo"], ids=["of newer versions", "of older ones"])
def test_the_tutorials_requests_play_as_it_was_trained(served: Up, path: str) -> None:
    said = run(sys.executable, *QUERY[1:], "--url", f"{served.url}{path}", "--episodes", "2")
    returns = [int(number) for number in re.findall(r"^return (\d+)$", said, re.MULTILINE)]
    assert len(returns) == 2
    assert sum(returns) / 2 >= 100  # 22, if actions were drawn blindly


def test_a_process_of_ray_answers(served: Up) -> None:
    assert titled(served.process.pid, REPLICA)
