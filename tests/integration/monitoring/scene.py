"""Runs inside a network of its own, in which pods' addresses are this machine's, and prints JSON: see `observe`.

What is real: the API server and its controllers, the operator and the chart's objects for it, the servers, Prometheus,
and what tells it whom to scrape. There is no node: the controllers make pods of Deployments, and here the process of
each is started, with the pod's address, ports and ConfigMaps.
"""

import json
import sys
import urllib.request
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from policy_operator import kinds
from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.cluster.control_plane import ControlPlane
from tests.integration.helm.chart import SYSTEM_NAMESPACE, Helm
from tests.integration.monitoring.load import PORT, Account, Load
from tests.integration.monitoring.prometheus import SCRAPE_SECONDS, Prometheus, configuration
from tests.integration.operator_core.api_client import ApiClient, Namespace, Object, wait_for
from tests.integration.operator_core.conftest import SERVICE_MONITORS
from tests.integration.operator_core.kubelet import serves
from tests.integration.operator_core.operators import OperatorProcess, kubeconfig
from tests.integration.sources.conftest import program, running

NAMESPACE, NODE = "cats", "here"
ROUTED, PLAIN, OPERATOR = "10.1.0.11", ("10.1.0.21", "10.1.0.22"), "10.1.0.31"
ADDRESSES = (ROUTED, *PLAIN, OPERATOR)
DASHBOARDS = Path(__file__).parents[3] / "manifests" / "dashboards"
WINDOW_SECONDS = 10
_POLICIES = {"a": False, "b": False, "broken": False, "shadow": True}
_VARIABLES = {
    "$__rate_interval": f"{WINDOW_SECONDS}s",
    "$__range": f"{WINDOW_SECONDS}s",
    "$window": f"{WINDOW_SECONDS}s",
    "$namespace": NAMESPACE,
    "$policyserver": "routed",
}
# Drift is seen after seconds of this load.
_SERVER = """
from policy_server import drift
drift.PAUSE_SECONDS, drift.SAMPLES = 0.002, 50
from policy_server.__main__ import main
main()
"""


def main(folder: Path) -> None:
    """Plays it all, and prints what was seen."""
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane())
        api = stack.enter_context(closing(ApiClient(plane.kubeconfig, folder)))
        install(plane, Helm(program("helm"), folder))
        options = (f"--operator-namespace={SYSTEM_NAMESPACE}", "--metrics-port=8081", "--resync-seconds=2")
        operator = OperatorProcess(kubeconfig(api, folder), folder / "operator.log", *options)
        stack.enter_context(operator).wait_until_leading()
        cats, system = Namespace(api, NAMESPACE), Namespace(api, SYSTEM_NAMESPACE)
        run_servers(stack, cats, folder)
        (pod,) = wait_for(lambda: system.every(kinds.POD), "the operator's pod")
        start(system, pod, OPERATOR)
        (folder / "authority").write_bytes(b64decode(api.authority))
        monitors = [*cats.every(kinds.SERVICE_MONITOR), *system.every(kinds.SERVICE_MONITOR)]
        prometheus = Prometheus.running(configuration(api, folder, monitors), folder)
        print(json.dumps(observe(stack.enter_context(prometheus))))


def install(plane: ControlPlane, helm: Helm) -> None:
    """Installs what the chart makes of the operator, and the kind of Prometheus' operator that it needs."""
    # Endpoints hold no pod without a node.
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    plane.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all([SERVICE_MONITORS, node]))
    for namespace in (NAMESPACE, SYSTEM_NAMESPACE):
        plane.kubectl("create", "namespace", namespace)
    objects = helm.render("--skip-tests", "--api-versions=monitoring.coreos.com/v1/ServiceMonitor", replicas=1)
    first = [one for one in objects if one["kind"] == "CustomResourceDefinition"]
    for some in (first, [one for one in objects if one not in first]):
        plane.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all(some))
        plane.kubectl("wait", "--for=condition=Established", "customresourcedefinition", "--all")


def run_servers(stack: ExitStack, namespace: Namespace, folder: Path) -> None:
    """Has the operator make two PolicyServers, and runs their pods' processes."""
    schema = {"observations": [{"name": "a", "type": "float"}, {"name": "b", "type": "float", "minimum": 0}]}
    policies = [
        {"name": name, "modelUri": f"https://models.example/{name}.zip", "shadow": shadow}
        for name, shadow in _POLICIES.items()
    ]
    router = {"mode": "EpsilonGreedy", "epsilon": 0.2}
    namespace.serve("routed", modelUri=None, policies=policies, router=router, schema=schema)
    namespace.serve("plain", schema=schema, replicas=len(PLAIN))
    random = np.random.default_rng(1)
    for name in ("a", "b", "shadow", ""):
        bundle = folder / "bundles" / name / "policy" if name else folder / "bundle" / "policy"
        write_linear_bundle(bundle, Categorical(size=2), weights=random.normal(size=(2, 2)))
    pods = namespace.wait_for_pods(1 + len(PLAIN))
    addresses = {"routed": [ROUTED], "plain": list(PLAIN)}
    for pod in pods:
        server = pod["metadata"]["labels"]["app.kubernetes.io/instance"]
        address = addresses[server].pop()
        own = folder / address
        config = own / "server.json"
        mount(namespace, server, folder, own)
        command = [sys.executable, "-c", _SERVER, f"--config={config}", f"--host={address}", f"--port={PORT}"]
        command.append("--metrics-port=8080")
        stack.enter_context(running(command, PORT, own / "log", address))
        start(namespace, pod, address)


def start(namespace: Namespace, pod: Object, address: str) -> None:
    """Says that a pod is on the node, runs and is ready, at an address."""
    target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
    path = kinds.POD.path(namespace.name, pod["metadata"]["name"], "binding")
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
    namespace.api.request("POST", path, json=binding)
    serves(namespace, pod, address=address)


def mount(namespace: Namespace, server: str, folder: Path, own: Path) -> None:
    """Writes a pod's ConfigMaps into its folder, with the paths of this machine in them."""
    (own / "state").mkdir(parents=True)
    places = {'"/bundle': f'"{folder}/bundle', '"/state': f'"{own}/state', '"/etc/policyserver': f'"{own}'}
    for config_map in namespace.every(kinds.CONFIG_MAP):
        name = config_map["metadata"]["name"]
        if not name.startswith(f"{server}-"):
            continue
        for file, text in config_map.get("data", {}).items():
            into = own / "router" if name == f"{server}-router" else own
            into.mkdir(exist_ok=True)
            (into / file).write_text(_replaced(text, places))


def observe(prometheus: Prometheus) -> dict[str, Any]:
    """Sends the load while Prometheus scrapes; returns what each has counted.

    Returns:
        The `targets`; the number of series of all `queries` of the dashboards, near the load's end; the `rate` of
        predictions then, by Prometheus and in truth; all `totals` after the load, by Prometheus and in truth; and all
        `metrics` of a server and of the operator, as text.
    """
    wanted = {f"{ROUTED}:8080", *(f"{address}:8080" for address in PLAIN), f"{OPERATOR}:8081"}

    def up() -> bool:
        return {one["labels"]["instance"] for one in prometheus.targets() if one["health"] == "up"} == wanted

    wait_for(up, "all targets", 60)
    load = Load(ROUTED, PLAIN)
    load.run()
    moment = load.account.moments[-1] - SCRAPE_SECONDS
    queries = [(*panel, len(prometheus.query(expression, moment))) for *panel, expression in every_query()]
    within = [one for one in load.account.moments if moment - WINDOW_SECONDS < one <= moment]
    predictions = 'policyserver_http_requests_total{policyserver="routed", route="/predict/"}'
    ((_, rate),) = prometheus.query(f"sum(rate({predictions}[{WINDOW_SECONDS}s]))", moment)
    truth = totals(load.account)
    with suppress(AssertionError):  # whoever compares them tells more
        wait_for(lambda: counted(prometheus, truth) == truth, "a scrape after the load", 20)
    return {
        "targets": [one["labels"] for one in prometheus.targets()],
        "queries": queries,
        "rate": [rate, len(within) / WINDOW_SECONDS],
        "totals": [counted(prometheus, truth), truth],
        "metrics": {"server": metrics(ROUTED, 8080), "operator": metrics(OPERATOR, 8081)},
    }


def every_query() -> Iterator[tuple[str, str, str]]:
    """Yields dashboard, panel and PromQL of all that Grafana would ask."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", ()):
                variables = _VARIABLES | ({"$namespace": ".*"} if file.stem == "policyserver-operator" else {})
                yield file.stem, panel["title"], _replaced(target["expr"], variables)


def totals(account: Account) -> dict[str, float]:
    """Returns what Prometheus should have counted, by the PromQL that asks for it."""
    told: dict[str, float] = {}

    def add(name: str, value: float, **labels: object) -> None:
        selected = ", ".join(f'{label}="{value}"' for label, value in labels.items())
        expression = f"sum(policyserver_{name}{{{selected}}})"
        told[expression] = told.get(expression, 0) + value

    for (server, route, code), count in account.requests.items():
        add("http_requests_total", count, policyserver=server, route=route, code=code)
        add("http_request_duration_seconds_count", count, policyserver=server, route=route)
    for policy, count in account.decisions.items():
        add("router_decisions_total", count, policyserver="routed", policy=policy)
        add("inference_duration_seconds_count", count, policyserver="routed", policy=policy)
    for (server, policy, action), count in account.actions.items():
        add("actions_total", count, policyserver=server, policy=policy, component=0, action=action)
    for policy, rewards in account.rewards.items():
        add("reward_count", len(rewards), policy=policy)
        add("reward_sum", sum(rewards), policy=policy)
        add("reward_squares_total", sum(reward**2 for reward in rewards), policy=policy)
    for outcome, count in account.outcomes.items():
        add("feedback_total", count, outcome=outcome)
    return told


def counted(prometheus: Prometheus, wanted: Mapping[str, float]) -> dict[str, float | None]:
    """Returns what Prometheus has counted."""
    return {expression: next((value for _, value in prometheus.query(expression)), None) for expression in wanted}


def metrics(address: str, port: int) -> str:
    """Returns what is scraped, as text."""
    with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
