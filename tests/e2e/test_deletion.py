"""What is left when a PolicyServer is deleted."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bundles import preferring
from tests.e2e.space import Space, status_of

NOT_OURS = {"Event", "PodMetrics"}


def _objects(space: Space) -> set[str]:
    """Everything in the namespace, of whatever kind."""
    kinds = space.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    found = space.kubectl.every(",".join(kinds), space.name)
    return {f"{one['kind']} {one['metadata']['name']}" for one in found if one["kind"] not in NOT_OURS}


def test_deletion_leaves_no_object_behind(space: Space, tmp_path: Path) -> None:
    uri = space.tools.serve("deleted.zip", preferring(1, tmp_path / "bundle"))
    space.wait_for(lambda: "ServiceAccount default" in _objects(space), "the namespace's own objects")
    before = _objects(space)
    space.serve("deleted", uri, replicas=2)
    space.wait_until_ready("deleted")
    space.wait_until_routed("deleted")
    there = {one.split()[0] for one in _objects(space) - before}
    assert there >= {"Deployment", "Service", "Ingress", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "Pod"}
    space.kubectl("delete", "policyserver/deleted", f"--namespace={space.name}")
    space.wait_for(lambda: _objects(space) == before, "the end of everything it made")
    url = f"{space.target.ingress_url}/{space.name}/deleted/"
    space.wait_for(lambda: status_of(url) == 404, "the end of the route")
