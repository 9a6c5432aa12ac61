import json
from math import log
from pathlib import Path
from typing import Any

import pytest

from policy_server.evaluation.__main__ import main
from tests.unit.evaluation.writing import Line, Writer, write


def batches(tmp_path: Path, lines: list[Line], *options: str) -> list[dict[str, Any]]:
    assert main(["to-rllib", write(tmp_path / "log", lines), "--output", str(tmp_path / "out"), *options]) == 0
    (file,) = (tmp_path / "out").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_an_episode_is_a_batch_with_its_steps_in_order(tmp_path: Path) -> None:
    writer = Writer()
    steps = [writer.decision(episode="e", observation=[float(place)], actions=[place]) for place in range(3)]
    lines = [*steps, writer.feedback(5, steps[1]), writer.feedback(7, episode="e", done=True)]
    assert batches(tmp_path, lines[::-1]) == [
        {
            "type": "SampleBatch",
            "eps_id": [0, 0, 0],
            "t": [0, 1, 2],
            "obs": [[0.0], [1.0], [2.0]],
            "new_obs": [[1.0], [2.0], [2.0]],
            "actions": [0, 1, 2],
            "rewards": [0.0, 5.0, 7.0],
            "terminateds": [False, False, True],
            "truncateds": [False, False, False],
            "action_prob": [0.8, 0.8, 0.8],
            "action_logp": [log(0.8)] * 3,
        }
    ]


def test_a_reward_of_an_episode_is_that_of_the_step_before_it(tmp_path: Path) -> None:
    writer = Writer()
    lines = []
    for reward in (1, 2):
        lines += [writer.decision(episode="e"), writer.feedback(reward, episode="e", done=reward == 2)]
    assert batches(tmp_path, lines)[0]["rewards"] == [1.0, 2.0]


def test_an_episode_that_timed_out_is_truncated_and_one_that_goes_on_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Writer()
    lines = [
        line for name in ("old", "young") for line in (writer.decision(episode=name), writer.decision(episode=name))
    ]
    lines.append(writer.feedback(1, episode="old"))
    writer.now += 1000
    lines.append(writer.feedback(1, episode="young"))
    (batch,) = batches(tmp_path, lines)
    assert (batch["terminateds"], batch["truncateds"]) == ([False, False], [False, True])
    assert capsys.readouterr().out.endswith("1 episodes; 1 left out: not over yet\n")


def test_actions_are_numbers_where_they_are_one_choice_and_vectors_otherwise(tmp_path: Path) -> None:
    writer = Writer()
    lines: list[Line] = []
    for actions in ([1], [0.5], [1, 2], [1, 0.5]):
        decision = writer.decision(actions=actions)
        lines += [decision, writer.feedback(1, decision)]
    assert [batch["actions"] for batch in batches(tmp_path, lines)] == [[1], [[0.5]], [[1, 2]], [[1, 0.5]]]


def test_what_has_no_reward_or_is_no_sequence_is_left_out_or_gets_the_default(tmp_path: Path) -> None:
    writer = Writer()
    row = writer.decision()
    lines = [row, row | {"observation": [9.0, 9.0]}, writer.feedback(1, row), writer.decision(), *writer.rewarded(1)]
    assert [batch["rewards"] for batch in batches(tmp_path, lines, "--wait", "0")] == [[1.0]]
    with_default = batches(tmp_path, lines, "--wait", "0", "--default-reward", "-2")
    assert [batch["rewards"] for batch in with_default] == [[-2.0], [1.0]]


def test_nothing_to_learn_from_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "log", [Writer().decision()])
    assert main(["to-rllib", file, "--output", str(tmp_path / "out"), "--wait", "0"]) == 2
    assert "error: no episode that is over has a reward: give --default-reward" in capsys.readouterr().err
