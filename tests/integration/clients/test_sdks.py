"""The SDKs of a PolicyServer in every language, built by the language's own tools and used on the server itself."""

import io
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy_server.config import ClientLanguage
from tests.documentation import blocks
from tests.integration.clients.toolchains import RUN, SECONDS, require_toolchain
from tests.integration.page.served import GREEDY, Served
from tests.routed import RoutedConfig
from tests.serving import Up, request, run

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"
KEY = "the-key"
# Names that languages have other uses for, or can't have; and lists, of one number each.
OBSERVATIONS: list[dict[str, Any]] = [
    {"name": "mouse.row", "type": "float"},
    {"name": "c", "type": "List[float]", "minItems": 1, "maxItems": 1},
    {"name": "class", "type": "List[bool]", "minItems": 1, "maxItems": 1},
]
ACTIONS = ["left", "stay", "right"]
POLICIES = ["zero", "one", "two"]
"""Each takes the action of its index."""

pytestmark = pytest.mark.timeout(3 * SECONDS)


@pytest.fixture(scope="module")
def mouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PolicyServer with a router, which gives away the SDKs that were written for it."""
    folder = tmp_path_factory.mktemp("mouse")
    (folder / "keys").mkdir()
    (folder / "keys" / "key").write_text(KEY)
    config = RoutedConfig(
        folder,
        GREEDY,
        name="mouse-v2",
        urlPath="mice/second",
        schema={"observations": OBSERVATIONS, "actions": ACTIONS},
        auth="apiKey",
        apiKeysDirectory=str(folder / "keys"),
        clientsDirectory=str(folder / "clients"),
    )
    with Served(folder, {"mouse-v2": config.text}) as server:
        url = f"{server.url}/mice/second"
        assert request(f"{url}/clients").status == 404
        done = run("clients", url, "--zip", "--output", str(folder / "clients"), cache=folder)
        assert done.returncode == 0, done.stderr
        yield url


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the sample PolicyServer, with SDKs."""
    folder = tmp_path_factory.mktemp("cartpole")
    sample = ROOT / "manifests" / "examples" / "cartpole.yaml"
    with Up(sample, options=("--clients",), cache=folder) as up:
        yield f"{up.url}/cartpole"


def downloaded(url: str, language: ClientLanguage, folder: Path) -> Path:
    """Gets the SDK that a server gives away; returns its folder."""
    with urllib.request.urlopen(f"{url}/clients?language={language}", timeout=60) as answer:
        assert answer.headers["content-type"] == "application/zip"
        assert "attachment; filename=" in answer.headers["content-disposition"]
        with zipfile.ZipFile(io.BytesIO(answer.read())) as archive:
            archive.extractall(folder)
    (sdk,) = folder.iterdir()
    return sdk


@pytest.mark.parametrize("language", ClientLanguage)
def test_an_sdk_has_lists_predicts_rewards_and_tells_of_errors(
    mouse: str, language: ClientLanguage, tmp_path: Path
) -> None:
    require_toolchain()
    sdk = downloaded(mouse, language, tmp_path)
    program = (PROGRAMS / f"{language}.txt").read_text()
    action, name, policy, outcome, status = RUN[language](sdk, program).split()
    assert name == ACTIONS[int(action)]
    assert policy == POLICIES[int(action)]
    assert (outcome, status) == ("learned", "401")


@pytest.mark.parametrize(
    ("fence", "language", "printed"),
    [
        ("py", ClientLanguage.PYTHON, "[1]"),
        ("typescript", ClientLanguage.TYPESCRIPT, "[ 1 ]"),
        ("java", ClientLanguage.JAVA, "[1]"),
        ("scala", ClientLanguage.SCALA, "Right(List(1))"),
        ("r", ClientLanguage.R, "[[1]]\n[1] 1"),
    ],
)
def test_what_the_docs_show_of_each_language_works_on_the_sample(
    cartpole: str, fence: str, language: ClientLanguage, printed: str, tmp_path: Path
) -> None:
    require_toolchain()
    (block,) = (block for block in blocks(ROOT / "docs" / "sdks.md") if block.language == fence)
    assert RUN[language](downloaded(cartpole, language, tmp_path), block.text) == printed
