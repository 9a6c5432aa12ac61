import asyncio
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from policy_server.bundle import Categorical
from policy_server.errors import ConfigError
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.serving import Serving
from tests.bundles import config_text, floats, write_linear_bundle

DEADLINE_SECONDS = 30.0


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the configurations a and b, served under x and y."""
    write_linear_bundle(tmp_path / "bundle", Categorical(size=4))
    folder = tmp_path / "config"
    folder.mkdir()
    configure(folder, a="x", b="y")
    return folder


def configure(folder: Path, **paths: str) -> None:
    for name, path in paths.items():
        text = config_text(folder.parent / "bundle", floats("a", "b", "c"))
        (folder / f"{name}.json").write_text(json.dumps(json.loads(text) | {"name": name, "urlPath": path}))


def serving(host: Host, folder: Path) -> Serving:
    one = Serving(host, folder, Metrics(CollectorRegistry()))
    one.load()
    return one


async def followed(one: Serving, host: Host, expected: set[str]) -> bool:
    """Whether following the folder comes to serve just these paths."""
    following = asyncio.create_task(one.follow(0.01))
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while host.mounted.keys() != expected:
                assert not following.done()
                await asyncio.sleep(0)
    except TimeoutError:
        return False
    finally:
        following.cancel()
    return True


def test_two_servers_may_move_along_one_path_in_one_edit(host: Host, folder: Path) -> None:
    one = serving(host, folder)
    former = host.mounted["/y"]
    configure(folder, a="y", b="z")
    assert asyncio.run(followed(one, host, {"/y", "/z"}))
    assert host.mounted["/y"] is not former


def test_a_renamed_server_is_served_by_its_new_file(host: Host, folder: Path) -> None:
    one = serving(host, folder)
    configure(folder, c="y")
    (folder / "b.json").unlink()
    assert asyncio.run(followed(one, host, {"/x", "/y"}))
    configure(folder, c="moved")
    assert asyncio.run(followed(one, host, {"/x", "/moved"}))


def test_following_survives_a_configuration_that_vanishes(host: Host, folder: Path) -> None:
    file = folder / "a.json"
    text = file.read_text()
    one = serving(host, file)

    async def vanish_and_return() -> bool:
        file.unlink()
        following = asyncio.create_task(one.follow(0.01))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not one._trouble:  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0)
        assert host.mounted.keys() == {"/x"}
        following.cancel()
        file.write_text(text.replace('"x"', '"back"'))
        return await followed(one, host, {"/back"})

    assert asyncio.run(vanish_and_return())


def test_a_file_that_is_being_written_is_not_served(host: Host, folder: Path) -> None:
    (folder / "..c.json").write_text("{")
    serving(host, folder)
    assert host.mounted.keys() == {"/x", "/y"}


def test_two_configurations_of_one_path_are_refused_at_the_start(host: Host, folder: Path) -> None:
    configure(folder, b="x")
    with pytest.raises(ConfigError, match="is served already"):
        serving(host, folder)


def test_what_cant_be_loaded_leaves_the_former_in_place(host: Host, folder: Path) -> None:
    one = serving(host, folder)
    former = host.mounted["/x"]
    (folder / "a.json").write_text("{}")
    configure(folder, b="elsewhere")
    assert asyncio.run(followed(one, host, {"/x", "/elsewhere"}))
    assert host.mounted["/x"] is former
