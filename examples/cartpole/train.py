"""Trains the sample policy: REINFORCE on CartPole-v1 with a network of 4-32-2, in numpy, in seconds.

    python examples/cartpole/train.py            # writes examples/cartpole/bundle/
    make generate                                # puts the bundle into manifests/examples/cartpole.yaml

Williams, R. J.: Simple statistical gradient-following algorithms for connectionist reinforcement learning, 1992.
"""

import argparse
import hashlib
import json
from pathlib import Path

import gymnasium
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tqdm import tqdm

from policy_server.bundle import BundleManifest, Categorical, Origin, write_bundle

Array = NDArray[np.float64]
Parameters = dict[str, Array]

OBSERVATIONS, HIDDEN, ACTIONS = 4, 32, 2
ENVIRONMENTS, DISCOUNT, LEARNING_RATE = 16, 0.99, 0.01


def initial(random: np.random.Generator) -> Parameters:
    """Returns the weights of an untrained network."""
    return {
        "hidden_weight": random.normal(0, OBSERVATIONS**-0.5, (OBSERVATIONS, HIDDEN)),
        "hidden_bias": np.zeros(HIDDEN),
        "logit_weight": random.normal(0, 0.01, (HIDDEN, ACTIONS)),
        "logit_bias": np.zeros(ACTIONS),
    }


def forward(network: Parameters, observations: Array) -> tuple[Array, Array]:
    """Returns the hidden layer and the action probabilities for observations of shape `(n, 4)`."""
    hidden = np.tanh(observations @ network["hidden_weight"] + network["hidden_bias"])
    logits = hidden @ network["logit_weight"] + network["logit_bias"]
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return hidden, weights / weights.sum(axis=1, keepdims=True)


def play(network: Parameters, random: np.random.Generator) -> tuple[Array, NDArray[np.int64], Array, float]:
    """Plays one episode in each environment; returns observations, actions, normalised returns and the mean length."""
    observations, actions, returns, lengths = [], [], [], []
    environments = [gymnasium.make("CartPole-v1") for _ in range(ENVIRONMENTS)]
    for environment in environments:
        observation, _ = environment.reset(seed=int(random.integers(2**31)))
        rewards: list[float] = []
        ended = False
        while not ended:
            _, probabilities = forward(network, observation[None].astype(np.float64))
            action = int(random.random() >= probabilities[0, 0])
            observations.append(observation)
            actions.append(action)
            observation, reward, terminated, truncated, _ = environment.step(action)
            rewards.append(float(reward))
            ended = terminated or truncated
        discounted = np.zeros(len(rewards))
        following = 0.0
        for step in range(len(rewards) - 1, -1, -1):
            discounted[step] = following = rewards[step] + DISCOUNT * following
        returns.append(discounted)
        lengths.append(len(rewards))
    together = np.concatenate(returns)
    advantage = (together - together.mean()) / (together.std() + 1e-8)
    return np.array(observations, np.float64), np.array(actions), advantage, float(np.mean(lengths))


def gradient(network: Parameters, observations: Array, actions: NDArray[np.int64], advantage: Array) -> Parameters:
    """Returns the gradient of the mean of log-probability times advantage."""
    hidden, probabilities = forward(network, observations)
    logits = -probabilities * advantage[:, None]
    logits[np.arange(len(actions)), actions] += advantage
    logits /= len(actions)
    before_tanh = (logits @ network["logit_weight"].T) * (1 - hidden**2)
    return {
        "hidden_weight": observations.T @ before_tanh,
        "hidden_bias": before_tanh.sum(axis=0),
        "logit_weight": hidden.T @ logits,
        "logit_bias": logits.sum(axis=0),
    }


def train(seed: int, target: float, most_updates: int) -> tuple[Parameters, float]:
    """Ascends the gradient with Adam until an episode lasts `target` steps on average; returns network and length."""
    random = np.random.default_rng(seed)
    network = initial(random)
    first = {name: np.zeros_like(value) for name, value in network.items()}
    second = {name: np.zeros_like(value) for name, value in network.items()}
    length = 0.0
    with tqdm(total=most_updates, unit="update") as progress:
        for update in range(1, most_updates + 1):
            observations, actions, advantage, length = play(network, random)
            progress.set_postfix(steps=f"{length:.0f}")
            progress.update()
            if length >= target:
                break
            for name, slope in gradient(network, observations, actions, advantage).items():
                first[name] = 0.9 * first[name] + 0.1 * slope
                second[name] = 0.999 * second[name] + 0.001 * slope**2
                step = first[name] / (1 - 0.9**update)
                network[name] += LEARNING_RATE * step / (np.sqrt(second[name] / (1 - 0.999**update)) + 1e-8)
    return network, length


def as_onnx(network: Parameters) -> bytes:
    """Returns the network as ONNX, from observations `(n, 4)` to logits `(n, 2)`."""
    weights = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in network.items()]
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["observations", "hidden_weight", "hidden_bias"], ["hidden"]),
            helper.make_node("Tanh", ["hidden"], ["activation"]),
            helper.make_node("Gemm", ["activation", "logit_weight", "logit_bias"], ["distribution_parameters"]),
        ],
        "cartpole",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", OBSERVATIONS])],
        [helper.make_tensor_value_info("distribution_parameters", TensorProto.FLOAT, ["batch", ACTIONS])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    distribution = Categorical(size=ACTIONS).model_dump_json(by_alias=True)
    helper.set_model_props(model, {"policyserver.distribution": distribution})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def main() -> None:
    """Trains and writes the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", type=float, default=480, help="steps per episode, of at most 500")
    parser.add_argument("--updates", type=int, default=300, help="give up after so many (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "bundle")
    arguments = parser.parse_args()
    network, length = train(arguments.seed, arguments.target, arguments.updates)
    if length < arguments.target:
        parser.exit(1, f"error: {length:.0f} steps after {arguments.updates} updates; try another --seed\n")
    model = as_onnx(network)
    digest = hashlib.sha256(model).hexdigest()
    origin = Origin(
        uri="examples/cartpole/train.py", format="ONNX", sha256=digest, importer="examples/cartpole/train.py"
    )
    manifest = BundleManifest(
        observation_size=OBSERVATIONS, distribution=Categorical(size=ACTIONS), model_sha256=digest, origin=origin
    )
    write_bundle(arguments.output, model, manifest)
    print(json.dumps({"bundle": str(arguments.output), "steps": length, "bytes": len(model)}))


if __name__ == "__main__":
    main()
