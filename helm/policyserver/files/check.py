"""What `helm test` runs in a pod: says whether the kind is served, the operator available, and one replica the leader.

Arguments: the namespace, the name of the Deployment, and how many seconds to wait for that. Exit code 1: the last line
says what is missing.
"""

import asyncio
import sys
import time

from policy_operator import kinds
from policy_operator.cluster import Cluster
from policy_operator.cluster_errors import ClusterError
from policy_operator.settings import LEASE_NAME

PAUSE_SECONDS = 1.0


async def missing(cluster: Cluster, namespace: str, name: str, renewals: set[str]) -> str | None:
    """What isn't as it should be; None: nothing. Adds to the renewals when the leader last renewed its lease."""
    try:
        if not await cluster.serves(kinds.POLICY_SERVER):
            return f"the cluster has no kind {kinds.POLICY_SERVER}: install the chart with crds.install=true"
        deployment = await cluster.get(kinds.DEPLOYMENT, namespace, name)
        if deployment is None:
            return f"there is no Deployment {namespace}/{name}"
        conditions = {one["type"]: one for one in deployment.get("status", {}).get("conditions", ())}
        if conditions.get("Available", {}).get("status") != "True":
            return f"the operator isn't available: kubectl --namespace {namespace} logs deployment/{name}"
        lease = await cluster.get(kinds.LEASE, namespace, LEASE_NAME)
        if lease is not None and lease["spec"].get("holderIdentity"):
            renewals.add(lease["spec"]["renewTime"])
        # Seen once it may be that of a leader who crashed; and clocks may differ.
        if len(renewals) < 2:
            return f"none of the operator's replicas leads: kubectl --namespace {namespace} logs deployment/{name}"
    except ClusterError as error:
        return str(error)
    return None


async def check(namespace: str, name: str, seconds: float) -> str | None:
    """What is still missing after some seconds; None: nothing."""
    deadline, renewals = time.monotonic() + seconds, set[str]()
    async with Cluster.connect() as cluster:
        while problem := await missing(cluster, namespace, name, renewals):
            if time.monotonic() > deadline:
                return problem
            await asyncio.sleep(PAUSE_SECONDS)
    return None


if problem := asyncio.run(check(sys.argv[1], sys.argv[2], float(sys.argv[3]))):
    sys.exit(f"error: {problem}")
print(f"{sys.argv[1]}/{sys.argv[2]} is available, one of its replicas leads, and the kind PolicyServer is served.")
