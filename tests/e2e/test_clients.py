"""SDKs from real pods: an init container writes them where nothing else is writable, and the server gives them away."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bundles import preferring
from tests.e2e.space import Space


def test_a_pod_writes_the_sdks_that_it_gives_away(space: Space, tmp_path: Path) -> None:
    uri = space.tools.serve("clients.zip", preferring(1, tmp_path / "bundle"))
    space.serve("with-clients", uri, clients=["python", "java"])
    space.wait_until_ready("with-clients", 400)
    space.wait_until_routed("with-clients")
    listed = space.ask("with-clients", "clients").body["clients"]
    assert [each["language"] for each in listed] == ["java", "python"]
    (pod,) = space.pods("with-clients")
    *_, written = pod["status"]["initContainerStatuses"]
    assert (written["name"], written["state"]["terminated"]["exitCode"]) == ("write-clients", 0)
