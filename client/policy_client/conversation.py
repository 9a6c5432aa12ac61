"""What is said to a policy server and what its answers mean, without any transport."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from policy_client.errors import NotFinite, PolicyError, Refused, Unauthorized
from policy_client.observations import Observation, plain, row

Feedback = Literal["episode", "step"]
"""When rewards are sent: their sum at the end of an episode, or each after its step."""
EPISODE_HEADER = "X-Episode-Id"
_LONGEST_QUOTE = 300


class Request(NamedTuple):
    """A POST of JSON, with headers of its own beside those of all."""

    url: str
    content: bytes
    headers: dict[str, str]


@dataclass
class _Episode:
    """What an agent's episode has come to.

    Attributes:
        state: the memory of a recurrent policy.
        policy: the name of what answered last, where a router chooses.
        episode_id: names the episode there, and keeps it on its policy.
        decision_id: names the last decision.
        total: the sum of rewards that weren't sent yet.
        rewarded: whether its last reward was sent.
    """

    state: str | None = None
    policy: str | None = None
    episode_id: str | None = None
    decision_id: str | None = None
    total: float = 0.0
    rewarded: bool = False


class Conversation:
    """Requests and answers of one policy server, in Pathmind's protocol; keeps what agents' episodes have come to.

    Attributes:
        headers: of each request; they hold the API key.
    """

    def __init__(self, url: str, api_key: str | None, *, raw: bool, feedback: Feedback | None) -> None:
        """Takes the URL above `/predict/`; `raw` sends an observation's numbers without names.

        Raises:
            PolicyError: it is no URL, or the key is nothing that a header can hold.
        """
        key = (api_key or "").strip()  # files and environments end in a line break
        if not (key.isascii() and key.isprintable()):
            raise PolicyError("the API key holds characters that no header can have: give it as it is in the Secret")
        if not url.startswith(("http://", "https://")):
            raise PolicyError(f"the URL {url} doesn't begin with http:// or https://")
        if feedback not in {"episode", "step", None}:
            raise PolicyError(f"feedback is {feedback!r}: give episode, step or None")
        self.headers = {"Content-Type": "application/json"} | ({"access-token": key} if key else {})
        self._predictions = url.rstrip("/") + ("/predict_raw/" if raw else "/predict/")
        self._rewards = url.rstrip("/") + "/feedback"
        self._raw = raw
        self._feedback = feedback
        self._episodes: dict[int, _Episode] = {}

    @property
    def policies(self) -> dict[int, str]:
        """The name of the policy that answered each agent last; empty without a router."""
        return {agent: episode.policy for agent, episode in self._episodes.items() if episode.policy is not None}

    def forget(self) -> None:
        """Begins an episode."""
        self._episodes.clear()

    def question(self, agent: int, observation: Observation) -> Request:
        """Returns the request for an agent's action.

        Raises:
            PolicyError: the observation can't be sent.
        """
        body: dict[str, Any] = {"obs": row(observation).tolist()} if self._raw else plain(observation)
        episode = self._episodes.get(agent, _Episode())
        if episode.state is not None:
            body = body | {"state": episode.state}
        try:
            content = json.dumps(body, allow_nan=False).encode()
        except ValueError:
            raise NotFinite(f"the observation of agent {agent} holds infinity or NaN: give finite numbers") from None
        except TypeError as error:
            raise PolicyError(f"the observation of agent {agent}: {error}; give numbers and lists of them") from None
        headers = {} if episode.episode_id is None else {EPISODE_HEADER: episode.episode_id}
        return Request(self._predictions, content, headers)

    def answer(self, agent: int, status: int, content: bytes) -> dict[str, Any]:
        """Returns a whole answer, whose `actions` is a list of numbers.

        Raises:
            Unauthorized, Refused, PolicyError: there is none, or none that could be rewarded.
        """
        answer = _parsed(content)
        if status != 200:
            raise self._problem(status, answer, content)
        if not isinstance(answer, dict) or not isinstance(answer.get("actions"), list):
            quoted = _quoted(content)
            raise PolicyError(f"{self._predictions} answers without actions: {quoted}; is it a policy server's URL?")
        if self._feedback is not None and "decision_id" not in answer:
            raise PolicyError(
                f"{self._predictions} answers without a decision_id, so that nothing there takes rewards: give the"
                " PolicyServer a router, or leave out feedback"
            )
        episode = self._episodes.setdefault(agent, _Episode())
        episode.state = answer.get("state")
        episode.policy = answer.get("policy")
        episode.episode_id, episode.decision_id = answer.get("episode_id"), answer.get("decision_id")
        if answer.get("moved"):  # what came before is not the new policy's doing
            episode.total = 0.0
        return answer

    def rewards(self, rewards: Sequence[float], done: Sequence[bool]) -> list[Request]:
        """Returns what is to be sent now of the last step's rewards, one for each agent.

        Sending one again does no harm: each names its decision, or the episode that it ends.

        Raises:
            PolicyError: an agent has not acted yet, or a reward is not finite.
        """
        if self._feedback is None:
            return []
        requests = []
        for agent, (reward, ended) in enumerate(zip(rewards, done, strict=True)):
            episode = self._episodes.get(agent)
            if episode is None:
                raise PolicyError(f"agent {agent} has not acted in this episode: rewards come after get_actions")
            if episode.rewarded:  # what comes after its end isn't its own doing
                continue
            episode.total += float(reward)
            episode.rewarded = bool(ended)
            if self._feedback == "step" or ended:
                if not math.isfinite(episode.total):
                    raise NotFinite(f"the reward of agent {agent} is not finite: give finite numbers")
                by_step, by_episode = {"decision_id": episode.decision_id}, {"episode_id": episode.episode_id}
                name = by_step if self._feedback == "step" else by_episode
                body = name | {"reward": episode.total, "done": episode.rewarded}
                requests.append(Request(self._rewards, json.dumps(body).encode(), {}))
                episode.total = 0.0
        return requests

    def acknowledged(self, status: int, content: bytes) -> None:
        """Takes the answer to a reward.

        Raises:
            Unauthorized, Refused, PolicyError: the server didn't take it.
        """
        if status != 202:
            answer = _parsed(content)
            detail = answer.get("detail") if isinstance(answer, dict) else _quoted(content)
            kind = {401: Unauthorized, 422: Refused}.get(status, PolicyError)
            raise kind(f"{self._rewards} doesn't take the reward ({status}): {_fields(detail)}")

    def _problem(self, status: int, answer: Any, content: bytes) -> PolicyError:
        url = self._predictions
        detail = answer.get("detail") if isinstance(answer, dict) else None
        if status == 401:
            return Unauthorized(f"{url} doesn't accept the API key ({detail}): give a key of its Secret")
        if status == 422:
            return Refused(f"{url} refuses the observation: {_fields(detail)}")
        if status in {404, 405}:
            return PolicyError(f"{url} is not served ({status}): give the URL that stands before /predict/")
        return PolicyError(f"{url} answers {status}: {_quoted(content)}")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _quoted(content: bytes) -> str:
    return content[:_LONGEST_QUOTE].decode(errors="replace") or "nothing"


def _fields(detail: Any) -> str:
    """Returns FastAPI's list of problems in one line."""
    if not isinstance(detail, list):
        return str(detail)
    problems = []
    for each in detail:
        place = ".".join(str(step) for step in each.get("loc", ()) if step != "body")
        problems.append(f"{place}: {each.get('msg')}" if place else str(each.get("msg")))
    return "; ".join(problems)
