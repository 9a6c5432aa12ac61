"""The kinds of objects that the operator deals with, and what it may do to each of them.

`PERMISSIONS` is the one list of rights: the operator asks for them before it starts, and tests compare the Roles in
manifests/install with it, and the API server's audit log too.
"""

from dataclasses import dataclass

from policy_operator import names


@dataclass(frozen=True)
class Kind:
    """One kind of object, and where the API server keeps it."""

    api_version: str
    name: str
    plural: str

    def __str__(self) -> str:
        return self.name

    @property
    def group(self) -> str:
        """The API group; the core group has no name."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of an object, of all objects in a namespace, or of all in the cluster."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(part for part in (f"{root}{scope}/{self.plural}", name, subresource) if part)


POLICY_SERVER = Kind(names.API_VERSION, names.KIND, names.PLURAL)
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
SERVICE = Kind("v1", "Service", "services")
SECRET = Kind("v1", "Secret", "secrets")
POD = Kind("v1", "Pod", "pods")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
SERVICE_MONITOR = Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors")
RAY_SERVICE = Kind("ray.io/v1", "RayService", "rayservices")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
ACCESS_REVIEW = Kind("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")

APPLIED = (
    *(CONFIG_MAP, SERVICE_ACCOUNT, SERVICE, DEPLOYMENT, STATEFUL_SET, INGRESS, DISRUPTION_BUDGET, SERVICE_MONITOR),
    RAY_SERVICE,
)
"""What the operator makes for a PolicyServer, and keeps as it should be."""
WATCHED = (*APPLIED, REPLICA_SET, POD)
"""What it looks at; the last two are made by Kubernetes."""
WORKLOADS = (DEPLOYMENT, RAY_SERVICE)
"""What makes the pods that serve: one of them."""
OPTIONAL = frozenset({SERVICE_MONITOR, RAY_SERVICE})
"""Kinds that a cluster may lack; Prometheus' operator brings the one, KubeRay the other."""
BY_NAME = {kind.name: kind for kind in WATCHED}

READ = ("get", "list", "watch")
WRITE = ("create", "patch")


@dataclass(frozen=True)
class Permission:
    """What may be done to the objects of one kind."""

    kind: Kind
    verbs: tuple[str, ...]
    subresource: str = ""

    @property
    def resource(self) -> str:
        """As RBAC names it."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural


PERMISSIONS = (
    Permission(POLICY_SERVER, READ),
    Permission(POLICY_SERVER, ("patch",), "status"),
    Permission(CONFIG_MAP, (*READ, *WRITE, "delete")),
    Permission(SERVICE_ACCOUNT, (*READ, *WRITE)),
    Permission(SERVICE, (*READ, *WRITE, "delete")),
    Permission(DEPLOYMENT, (*READ, *WRITE, "delete")),
    Permission(STATEFUL_SET, (*READ, *WRITE, "delete")),
    Permission(INGRESS, (*READ, *WRITE, "delete")),
    Permission(DISRUPTION_BUDGET, (*READ, *WRITE, "delete")),
    Permission(SERVICE_MONITOR, (*READ, *WRITE)),
    Permission(RAY_SERVICE, (*READ, *WRITE, "delete")),
    Permission(REPLICA_SET, ("list", "watch")),
    Permission(POD, ("list", "watch", "patch", "delete")),
    # What is in a Secret, the operator never sees but when it makes it.
    Permission(SECRET, ("create",)),
)
"""In the namespaces that are served."""
LEASE_PERMISSIONS = (Permission(LEASE, ("get", "create", "update")),)
"""In the operator's own namespace."""
