"""How clients and Prometheus reach the pods: Service, Ingress, ServiceMonitor."""

from policy_operator.api import PolicyServer
from policy_operator.desired.metadata import Object, child, selector
from policy_operator.kinds import INGRESS, SERVICE, SERVICE_MONITOR


def service(server: PolicyServer) -> Object:
    """Port 80 for clients, 8080 for metrics."""
    return child(SERVICE, server, server.metadata.name) | {
        "spec": {
            "selector": selector(server.metadata.name),
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
                {"name": "metrics", "port": 8080, "targetPort": "metrics", "protocol": "TCP"},
            ],
        }
    }


def ingress(server: PolicyServer, url_path: str) -> Object:
    """The url path, as it is: the server itself answers under it, so nothing is rewritten. No class: the cluster's."""
    backend = {"service": {"name": server.metadata.name, "port": {"name": "http"}}}
    path = {"path": f"/{url_path}", "pathType": "Prefix", "backend": backend}
    return child(INGRESS, server, server.metadata.name) | {"spec": {"rules": [{"http": {"paths": [path]}}]}}


def routed_path(ingress: Object) -> str | None:
    """The url path that an Ingress of ours routes."""
    try:
        path: str = ingress["spec"]["rules"][0]["http"]["paths"][0]["path"]
    except (KeyError, IndexError):
        return None
    return path.strip("/")


def service_monitor(server: PolicyServer) -> Object:
    """Tells Prometheus' operator to collect the metrics of every pod."""
    return child(SERVICE_MONITOR, server, server.metadata.name) | {
        "spec": {"selector": {"matchLabels": selector(server.metadata.name)}, "endpoints": [{"port": "metrics"}]}
    }
