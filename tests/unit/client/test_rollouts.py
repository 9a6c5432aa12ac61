from pathlib import Path

import numpy as np
import pytest

from policy_client import PolicyError
from policy_client.policy import Policy, Random
from policy_client.simulation import Discrete, Simulation
from policy_client.spaces import Action
from tests.unit.client.mice import Acting, Mice, Mouse, lines


class Right(Policy):
    """Goes right, always."""

    def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        return {agent: np.array([1]) for agent in range(simulation.number_of_agents())}


def test_a_lone_mouse_that_goes_right_finds_the_cheese_in_five_steps() -> None:
    rollout = Mouse().run(Right(), num_episodes=3)
    assert [episode.steps for episode in rollout.episodes] == [5, 5, 5]
    assert rollout.episodes[2].rewards == {"reward_0_found_cheese": 1, "reward_0_effort": -2.5}
    assert rollout.episodes[2].total == -1.5


def test_an_agent_that_is_done_gets_no_further_reward_while_others_go_on() -> None:
    (episode,) = Mice().run(Right()).episodes
    assert episode.steps == 5
    assert episode.rewards == {f"reward_{agent}_found_cheese": 1 for agent in range(3)}


def test_the_csv_has_a_line_for_each_step_with_what_was_seen_done_and_gained(tmp_path: Path) -> None:
    Mice().run(Right(), tmp_path / "steps.csv", num_episodes=2)
    found = lines(tmp_path / "steps.csv")
    assert [(line["Episode"], line["Step"]) for line in found] == [(e, s) for e in range(2) for s in range(5)]
    assert found[0] == {
        "Episode": 0,
        "Step": 0,
        "observations_0": {"place": 0.8, "walls": [False, False]},
        "observations_1": {"place": 0.6, "walls": [False, False]},
        "observations_2": {"place": 0, "walls": [True, False]},
        **{f"actions_{agent}": [1] for agent in range(3)},
        "rewards_0": {"found_cheese": 1},
        "rewards_1": {"found_cheese": 0},
        "rewards_2": {"found_cheese": 0},
        "metrics_0": [5],
        "metrics_1": [4],
        "metrics_2": [1],
        "done_0": True,
        "done_1": False,
        "done_2": False,
    }


def test_metrics_that_a_simulation_lacks_are_empty_cells(tmp_path: Path) -> None:
    Mouse().run(Right(), tmp_path / "steps.csv")
    assert {line["metrics_0"] for line in lines(tmp_path / "steps.csv")} == {None}


def test_the_summary_has_a_line_for_each_episode_and_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Mouse().run(Right(), summary_csv=tmp_path / "summary.csv", num_episodes=2)
    assert (tmp_path / "summary.csv").read_text().splitlines() == [
        "Episode,Steps,reward_0_found_cheese,reward_0_effort",
        "0,5,1.0,-2.5",
        "1,5,1.0,-2.5",
    ]
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed == [
        ["episodes", "2"],
        ["mean", "deviation", "least", "greatest"],
        ["steps", "5", "0", "5", "5"],
        ["reward_0_found_cheese", "1", "0", "1", "1"],
        ["reward_0_effort", "-2.5", "0", "-2.5", "-2.5"],
    ]


def test_without_a_policy_actions_are_random(tmp_path: Path) -> None:
    Mouse().run(out_csv=tmp_path / "steps.csv", num_episodes=20)
    assert {line["actions_0"][0] for line in lines(tmp_path / "steps.csv")} == {0, 1}


@pytest.mark.parametrize("simulation", [Mouse(), Mice()])
def test_random_rollouts_of_the_same_seed_make_the_same_csv(simulation: Simulation, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulation.run(Random(seed), tmp_path / name, num_episodes=3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_what_happened_before_a_failure_is_in_the_files(tmp_path: Path) -> None:
    class Stumbling(Right):
        """Knows six actions."""

        left = 6

        def get_actions(self, simulation: Simulation) -> dict[int, Action]:
            self.left -= 1
            if self.left < 0:
                raise PolicyError("stumbled")
            return super().get_actions(simulation)

    with pytest.raises(PolicyError, match="stumbled"):
        Mouse().run(Stumbling(), tmp_path / "steps.csv", tmp_path / "summary.csv", num_episodes=2)
    assert [line["Episode"] for line in lines(tmp_path / "steps.csv")] == [0, 0, 0, 0, 0, 1]
    assert len((tmp_path / "summary.csv").read_text().splitlines()) == 2


def test_a_policy_hears_of_each_episode() -> None:
    class Counting(Right):
        """Counts episodes."""

        begun = 0

        def begin_episode(self) -> None:
            self.begun += 1

    policy = Counting()
    Mouse().run(policy, num_episodes=4)
    assert policy.begun == 4


def test_a_method_that_a_subclass_lacks_is_named() -> None:
    class Empty(Simulation):
        """Defines nothing."""

    with pytest.raises(NotImplementedError, match="Empty must define number_of_agents"):
        Empty().run(Right())


def test_no_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Acting(Discrete(1)).run(Right(), num_episodes=0)
