"""The command line, and RLlib's own readers of what it writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks import run_framework
from tests.serving import run
from tests.unit.evaluation.writing import Line, Writer, write

HERE = Path(__file__).parent


@pytest.fixture
def episodes() -> list[Line]:
    """Three that are over: two done, one timed out."""
    writer = Writer()
    lines: list[Line] = []
    for number, length in enumerate((3, 1, 2)):
        steps = [writer.decision(episode=f"e{number}", observation=[number, place / 2]) for place in range(length)]
        lines += [*steps, *(writer.feedback(place + 0.5, step) for place, step in enumerate(steps[:-1]))]
        lines += [writer.feedback(1, episode=f"e{number}", done=True)] if number != 2 else []
    writer.now += 1000
    return [*lines, writer.decision(episode="young")]


def test_evaluate_reads_files_and_the_standard_input_and_draws(tmp_path: Path) -> None:
    log = Path(write(tmp_path / "log", [{"type": "access"}, *Writer().mixed(400)]))
    plot = tmp_path / "plot.svg"
    options = ["--mix", "a=0.5,b=0.5", "--output", "json"]
    done = run("evaluate", str(log), *options, "--plot", str(plot), cache=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert run("evaluate", "-", *options, cache=tmp_path, stdin=log.read_text()).stdout == done.stdout
    assert [each["name"] for each in json.loads(done.stdout)["evaluations"]] == ["as logged", "a", "b", "a=0.5,b=0.5"]
    assert plot.read_text().startswith("<svg")


def test_evaluate_refuses_in_one_line_with_exit_code_2(tmp_path: Path) -> None:
    log = write(tmp_path / "log", Writer({"a": 1.0}).rewarded(20))
    done = run("evaluate", log, "--least-propensity", "0.5", "--wait", "5", cache=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: a: the overlap is too small")
    assert len(done.stderr.splitlines()) == 1


def test_help_shows_an_example(tmp_path: Path) -> None:
    for command in (["evaluate"], ["log", "to-rllib"]):
        done = run(*command, "--help", cache=tmp_path)
        assert done.returncode == 0
        assert "Example:" in done.stdout


@pytest.fixture
def read(tmp_path: Path, episodes: list[Line]) -> dict[str, Any]:
    done = run("log", "to-rllib", write(tmp_path / "log", episodes), "-o", str(tmp_path / "out"), cache=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("/out/episodes.json: 3 episodes; 1 left out: not over yet\n")
    told = run_framework("rllib", HERE / "reading.py", tmp_path / "out")
    assert told.returncode == 0, told.stderr[-4000:]
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def test_rllib_reads_the_episodes(read: dict[str, Any]) -> None:
    first, second, third = read["old"]
    assert first["obs"] == [[0, 0], [0, 0.5], [0, 1]]
    assert first["new_obs"] == [[0, 0.5], [0, 1], [0, 1]]
    assert (first["actions"], first["rewards"], first["terminateds"]) == (
        [1, 1, 1],
        [0.5, 1.5, 1],
        [False, False, True],
    )
    assert first["action_prob"] == [0.8, 0.8, 0.8]
    assert [batch["eps_id"] for batch in (first, second, third)] == [[0, 0, 0], [1], [2, 2]]
    assert (third["terminateds"], third["truncateds"]) == ([False, False], [False, True])
    for batch, episode in zip(read["old"], read["new"], strict=True):
        assert episode == {
            "observations": [*batch["obs"], batch["new_obs"][-1]],
            "actions": batch["actions"],
            "rewards": batch["rewards"],
            "terminated": batch["terminateds"][-1],
            "truncated": batch["truncateds"][-1],
        }
