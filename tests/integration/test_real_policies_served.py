"""Policies that others trained, from their Pathmind schema.yaml to answers over HTTP."""

import http.client
import json
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tests.integration.conftest import TensorFlowAnswers
from tests.serving import Up, request, run

KEY = {"access-token": "1234567asdfgh"}
MOUSE = ["mouse_row", "mouse_col", "mouse_row_distance", "mouse_col_distance", "cheese_row", "cheese_col"]


def converted(folder: Path, into: Path) -> Path:
    """Writes the PolicyServer and the Secret that `schema convert` makes of a policy's schema.yaml."""
    uri = f"file://{folder}/saved_model.zip"
    done = run("schema", "convert", str(folder / "schema.yaml"), "--name", "real", "--model-uri", uri, cache=into)
    assert done.returncode == 0, done.stderr
    manifest = into / "policyserver.yaml"
    manifest.write_text(done.stdout)
    return manifest


@pytest.fixture(scope="module")
def mouse(real_policies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The policy of one discrete action, with a fixed seed."""
    folder = tmp_path_factory.mktemp("mouse")
    manifest = converted(real_policies / "mouse_and_cheese", folder)
    with Up(manifest, options=("--seed", "1"), cache=folder) as up:
        yield up


def ask_all(up: Up, path: str, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Posts each body over one connection."""
    answers = []
    with closing(http.client.HTTPConnection("localhost", up.port, timeout=60)) as connection:
        for body in bodies:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"} | KEY)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            answers.append(answer)
    return answers


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def test_the_distribution_is_the_softmax_of_tensorflows_logits(
    mouse: Up, real_policies: Path, tensorflow_answers: TensorFlowAnswers, tmp_path: Path
) -> None:
    observations = np.random.default_rng(3).normal(size=(1000, 6)).astype(np.float32)
    with zipfile.ZipFile(real_policies / "mouse_and_cheese" / "saved_model.zip") as archive:
        archive.extractall(tmp_path / "saved_model")
    expected = softmax(tensorflow_answers(tmp_path / "saved_model", "action_dist_inputs", observations))
    bodies = [dict(zip(MOUSE, map(float, row), strict=True)) for row in observations]
    served = [list(answer.values()) for answer in ask_all(mouse, "/distribution/", bodies)]
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-5)


def test_sampled_actions_fit_the_distribution(mouse: Up) -> None:
    samples = 10_000
    random = np.random.default_rng(4)
    for _ in range(1000):  # an observation that leaves every action some chance
        observation = dict(zip(MOUSE, random.normal(size=6).tolist(), strict=True))
        table = request(f"{mouse.url}/distribution/", observation, **KEY).body
        expected = np.array(list(table.values())) * samples
        if expected.min() >= 5:
            break
    else:
        pytest.fail("no observation found")
    answers = ask_all(mouse, "/predict/", [observation] * samples)
    counts = np.bincount([answer["actions"][0] for answer in answers], minlength=len(expected))
    assert stats.chisquare(counts, expected / expected.sum() * samples).pvalue > 0.001
    assert all(answer["probability"] == table[str(answer["actions"][0])] for answer in answers)


def test_a_tuple_policy_answers_each_component_and_has_no_table(real_policies: Path, tmp_path: Path) -> None:
    manifest = converted(real_policies / "simple_stochastic_tuple_action_masking", tmp_path)
    observation = {"actionMask": [True, False, True, True], "stateChartState": [0.5, 1.0, 0.0]}
    with Up(manifest, cache=tmp_path) as up:
        answers = ask_all(up, "/predict/", [observation] * 100)
        assert all(len(answer["actions"]) == 2 for answer in answers)
        assert all(0 < answer["probability"] <= 1 for answer in answers)
        refused = request(f"{up.url}/distribution/", observation, **KEY)
        assert refused.status == 405
        assert "tuple of 2 components" in refused.body["detail"]


def test_a_schema_that_contradicts_the_model_is_refused_by_import(real_policies: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.yaml"
    text = (real_policies / "simple_stochastic_tuple_action_masking" / "schema.yaml").read_text()
    schema.write_text(text.replace("_items: 3", "_items: 4"))
    archive = real_policies / "simple_stochastic_tuple_action_masking" / "saved_model.zip"
    done = run("import", str(archive), "-o", str(tmp_path / "bundle"), "--schema", str(schema), cache=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "make 8 values, the model takes 7" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "bundle").exists()
