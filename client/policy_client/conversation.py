"""What is said to a policy server and what its answers mean, without any transport."""

import json
from typing import Any

from policy_client.errors import NotFinite, PolicyError, Refused, Unauthorized, Unavailable
from policy_client.observations import Observation, plain, row

_LONGEST_QUOTE = 300


class Conversation:
    """Requests and answers of one policy server, in Pathmind's protocol; keeps the memories of recurrent policies.

    Attributes:
        url: where predictions are asked for.
        headers: of each request; they hold the API key.
    """

    def __init__(self, url: str, api_key: str | None, *, raw: bool) -> None:
        """Takes the URL above `/predict/`; `raw` sends an observation's numbers without names.

        Raises:
            PolicyError: it is no URL, or the key is nothing that a header can hold.
        """
        key = (api_key or "").strip()  # files and environments end in a line break
        if not (key.isascii() and key.isprintable()):
            raise PolicyError("the API key holds characters that no header can have: give it as it is in the Secret")
        if not url.startswith(("http://", "https://")):
            raise PolicyError(f"the URL {url} doesn't begin with http:// or https://")
        self.url = url.rstrip("/") + ("/predict_raw/" if raw else "/predict/")
        self.headers = {"Content-Type": "application/json"} | ({"access-token": key} if key else {})
        self._raw = raw
        self._states: dict[int, str] = {}

    def forget(self) -> None:
        """Begins an episode."""
        self._states.clear()

    def request(self, agent: int, observation: Observation) -> bytes:
        """Returns the body that asks for an agent's action.

        Raises:
            PolicyError: the observation can't be sent.
        """
        body: dict[str, Any] = {"obs": row(observation).tolist()} if self._raw else plain(observation)
        if agent in self._states:
            body = body | {"state": self._states[agent]}
        try:
            return json.dumps(body, allow_nan=False).encode()
        except ValueError:
            raise NotFinite(f"the observation of agent {agent} holds infinity or NaN: give finite numbers") from None
        except TypeError as error:
            raise PolicyError(f"the observation of agent {agent}: {error}; give numbers and lists of them") from None

    def actions(self, agent: int, status: int, content: bytes) -> list[float]:
        """Returns the action of an answer.

        Raises:
            Unauthorized, Refused, PolicyError: there is none.
        """
        answer = _parsed(content)
        if status != 200:
            raise self._problem(status, answer, content)
        actions = answer.get("actions") if isinstance(answer, dict) else None
        if not isinstance(actions, list):
            raise PolicyError(f"{self.url} answers without actions: {_quoted(content)}; is it a policy server's URL?")
        if state := answer.get("state"):
            self._states[agent] = state
        return actions

    def unavailable(self, attempts: int, problem: object) -> Unavailable:
        """Returns what to raise once all attempts have failed."""
        return Unavailable(f"{self.url} could not be asked in {attempts} attempts: {problem}; check that it is served")

    def _problem(self, status: int, answer: Any, content: bytes) -> PolicyError:
        detail = answer.get("detail") if isinstance(answer, dict) else None
        if status == 401:
            return Unauthorized(f"{self.url} doesn't accept the API key ({detail}): give a key of its Secret")
        if status == 422:
            return Refused(f"{self.url} refuses the observation: {_fields(detail)}")
        if status in {404, 405}:
            return PolicyError(f"{self.url} is not served ({status}): give the URL that stands before /predict/")
        return PolicyError(f"{self.url} answers {status}: {_quoted(content)}")


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
