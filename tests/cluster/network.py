"""The node's addresses, and the one link that joins it to this machine.

The node has no default route, so nothing in it can reach beyond this machine. The host gets routes
to pods and Services: both can be asked directly, without port-forwarding.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.processes import run

LINK_RANGE = "10.200.0.0/30"
HOST_ADDRESS = "10.200.0.1"
NODE_ADDRESS = "10.200.0.2"
POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
INGRESS_SERVICE = "10.96.0.80"

HOST_LINK = "policyserver-h"
NODE_LINK = "policyserver-n"
SERVICE_SINK = "services"
"""A bridge without ports in the node: where a Service's packet ends that no rule has rewritten."""

_LAST_RESORT = "9999"


def up(node: int) -> None:
    """Links the host with the network namespace of the process `node`."""
    on_node = ("nsenter", "--target", str(node), "--net", "--", "ip")
    run("ip", "link", "add", HOST_LINK, "type", "veth", "peer", NODE_LINK, "netns", str(node))
    run("ip", "address", "add", f"{HOST_ADDRESS}/30", "dev", HOST_LINK)
    run("ip", "link", "set", HOST_LINK, "up")
    run(*on_node, "address", "add", f"{NODE_ADDRESS}/30", "dev", NODE_LINK)
    run(*on_node, "link", "set", NODE_LINK, "up")
    run(*on_node, "route", "add", SERVICE_RANGE, "dev", SERVICE_SINK, "src", NODE_ADDRESS)
    # Should the link vanish, packets for the cluster must die here, not follow the default route.
    for addresses in (LINK_RANGE, SERVICE_RANGE, POD_RANGE):
        run("ip", "route", "replace", "unreachable", addresses, "metric", _LAST_RESORT)
    for addresses in (SERVICE_RANGE, POD_RANGE):
        run("ip", "route", "add", addresses, "via", NODE_ADDRESS, "dev", HOST_LINK)


def down() -> None:
    """Removes the link and its routes, as far as they are there."""
    if linked():
        run("ip", "link", "delete", HOST_LINK)
    for addresses in (LINK_RANGE, SERVICE_RANGE, POD_RANGE):
        if run("ip", "route", "show", "type", "unreachable", "exact", addresses).strip():
            run("ip", "route", "delete", "unreachable", addresses, "metric", _LAST_RESORT)


def linked() -> bool:
    """Whether a node is linked with this machine."""
    return (Path("/sys/class/net") / HOST_LINK).exists()


def require_unused() -> None:
    """Refuses to go on when the addresses are taken, by another cluster or by anything else."""
    if linked():
        raise ClusterError(f"another cluster is up on this machine: the link {HOST_LINK} is there")
    for addresses in (LINK_RANGE, SERVICE_RANGE, POD_RANGE):
        used = run("ip", "route", "show", "root", addresses).strip()
        if used:
            raise ClusterError(f"{addresses} is in use on this machine: {used}")
