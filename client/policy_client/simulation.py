"""The interface of a simulation, as Pathmind's Python package has it (`pathmind.simulation`, version 0.4)."""

from pathlib import Path
from typing import Any

from policy_client.acting import Policy
from policy_client.chance import Random
from policy_client.observations import Observation
from policy_client.rollout import roll_out
from policy_client.spaces import Action, Continuous, Discrete
from policy_client.summary import Rollout

__all__ = ["Continuous", "Discrete", "Simulation"]


class Simulation:
    """A world with one or more agents, numbered from 0; subclass it.

    Attributes:
        action: what each agent does in the next `step`, an array: `(size,)` of a Discrete space, `shape` of a
            Continuous one. None before the first.
    """

    action: dict[int, Action] = None  # type: ignore[assignment]  # subclasses needn't ask about the time before

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes what a subclass wants."""

    def number_of_agents(self) -> int:
        """Returns how many agents there are, the same throughout."""
        raise self._missing("number_of_agents")

    def action_space(self, agent_id: int) -> Continuous | Discrete:
        """Returns which actions an agent has."""
        raise self._missing("action_space")

    def get_observation(self, agent_id: int) -> Observation:
        """Returns what an agent sees now: numbers and lists of numbers by name, always in the same order."""
        raise self._missing("get_observation")

    def get_reward(self, agent_id: int) -> dict[str, float]:
        """Returns what the last step was worth to an agent, by term."""
        raise self._missing("get_reward")

    def is_done(self, agent_id: int) -> bool:
        """Returns whether an agent has ended; an episode ends when all have."""
        raise self._missing("is_done")

    def get_metrics(self, agent_id: int) -> Any:
        """Returns other numbers worth keeping in the CSV; None: there are none."""
        return None

    def set_action(self, action: dict[int, Action]) -> None:
        """Says what each agent does in the next step."""
        self.action = action

    def step(self) -> None:
        """Lets all agents act as `action` says."""
        raise self._missing("step")

    def reset(self) -> None:
        """Begins an episode."""
        raise self._missing("reset")

    def run(
        self,
        policy: Policy | None = None,
        out_csv: str | Path | None = None,
        summary_csv: str | Path | None = None,
        num_episodes: int = 1,
        sleep: float | None = None,
    ) -> Rollout:
        """Plays episodes, shows the progress, prints a summary and returns it.

        Args:
            policy: what acts; Random without one.
            out_csv: a file for a line for each step: `Episode`, `Step`, and for each agent i `observations_i`,
                `actions_i`, `rewards_i`, `metrics_i` and `done_i` as JSON, observations from before the step, the rest
                from after it.
            summary_csv: a file for a line for each episode: `Episode`, `Steps`, and for each agent and term of its
                reward `reward_i_TERM`, the sum until the agent is done.
            num_episodes: how many are played.
            sleep: how many seconds to wait before each step, for watching.

        Raises:
            PolicyError: the policy has no action. The files hold what happened until then.
        """
        return roll_out(self, policy or Random(), out_csv, summary_csv, num_episodes, sleep)

    def _missing(self, method: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} must define {method}")
