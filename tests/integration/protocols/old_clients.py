"""Runs an old client for some steps of CartPole, in the venv that holds it; prints what it saw as JSON.

    python old_clients.py CLIENT URL KEY

What the clients import and don't need to speak HTTP is put in place of the real thing: TensorFlow, gym and or-gym are
gigabytes, or no longer install.
"""

import json
import sys
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests

STEPS = 20
FALLING_RIGHT = [0.0, 0.0, 0.1, 1.0]
NAMES = ["cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity"]


def pathmind(url: str, key: str) -> dict[str, Any]:
    """Lets Pathmind's own simulation interface ask its own policy.Server."""
    for name in ("tensorflow", "gym", "gym.spaces", "or_gym"):
        sys.modules[name] = ModuleType(name)
    for name, attribute in (("gym", "Env"), ("gym.spaces", "Box"), ("gym.spaces", "Discrete"), ("or_gym", "Env")):
        setattr(sys.modules[name], attribute, type(attribute, (), {}))
    from pathmind import Discrete, Simulation  # noqa: PLC0415 -- after what stands in for its imports
    from pathmind.policy import Server  # noqa: PLC0415

    class Falling(Simulation):  # type: ignore[misc]
        def __init__(self, observation: dict[str, Any]) -> None:
            self.observation = observation

        def action_space(self, agent_id: int) -> Any:
            return Discrete(2)

        def number_of_agents(self) -> int:
            return 3

        def get_observation(self, agent_id: int) -> dict[str, Any]:
            return self.observation

    def refusal(server: Any, observation: dict[str, Any]) -> str:
        try:
            server.get_actions(Falling(observation))
        except ValueError as error:
            return str(error)
        return "none"

    falling = dict(zip(NAMES, FALLING_RIGHT, strict=True))
    actions = Server(url, key).get_actions(Falling(falling))
    return {
        "actions": {agent: action.tolist() for agent, action in actions.items()},
        "wrong key": refusal(Server(url, "wrong"), falling),
        "wrong observation": refusal(Server(url, key), {"cart_position": "left"}),
    }


def seldon(url: str, _: str) -> dict[str, Any]:
    """Lets Seldon's own client predict and send feedback, in both encodings."""
    from seldon_core.seldon_client import SeldonClient  # noqa: PLC0415 -- a second that the others don't need

    server = urlsplit(url)
    _, _, namespace, deployment = server.path.split("/")
    client = SeldonClient(
        gateway="istio", gateway_endpoint=server.netloc, namespace=namespace, deployment_name=deployment
    )
    seen: dict[str, Any] = {}
    for encoding in ("tensor", "ndarray"):
        rows = np.array([FALLING_RIGHT] * 3)
        predicted = client.predict(data=rows, payload_type=encoding, names=NAMES, client_return_type="proto")
        fed = [
            client.feedback(predicted.request, predicted.response, reward=reward, client_return_type="proto")
            for reward in (1.0, 0.0)
        ]
        answer = client.predict(data=rows, payload_type=encoding).response
        seen[encoding] = {
            "success": [predicted.success, *(each.success for each in fed)],
            "understood": [predicted.response is not None, *(each.response is not None for each in fed)],
            "data": answer["data"],
            "meta": answer["meta"],
        }
    wrong = client.predict(data=np.array([[1.0, 2.0]]))
    return seen | {"wrong": [wrong.success, wrong.msg]}


def cartpole_agent(url: str, key: str) -> dict[str, Any]:
    """Says what the agent of cartpole-rl-remote says, and reads what it reads."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    actions, answers = [], []
    for step in range(STEPS):
        asked: dict[str, Any] = {"data": {"names": ["a"], "tensor": {"shape": [1, 4], "values": FALLING_RIGHT}}}
        response = session.post(f"{url}/api/v0.1/predictions", json=asked).json()
        actions.append(int(response["data"]["tensor"]["values"][0]))
        response["meta"]["routing"].get("eg-router")
        reward = 0 if step == STEPS - 1 else 1.0
        feedback = {"request": asked, "response": response, "reward": reward}
        answers.append(session.post(f"{url}/api/v0.1/feedback", json=feedback).status_code)
    return {"actions": actions, "answers": answers}


def tutorial(url: str, key: str) -> dict[str, Any]:
    """Asks as Ray's tutorial does, with a body in a GET."""
    body = {"observation": np.array(FALLING_RIGHT).tolist()}
    answers = [requests.get(url, json=body, headers={"access-token": key}, timeout=60).json() for _ in range(STEPS)]
    return {
        "answers": answers,
        "without a key": requests.get(url, json=body, timeout=60).status_code,
        "without a body": requests.get(url, timeout=60).json(),
    }


CLIENTS = {"pathmind": pathmind, "seldon": seldon, "cartpole": cartpole_agent, "tutorial": tutorial}

if __name__ == "__main__":
    print(json.dumps(CLIENTS[sys.argv[1]](*sys.argv[2:])))
