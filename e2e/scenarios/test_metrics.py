"""A real Prometheus, found by the chart's ServiceMonitors, answers every query of the chart's dashboard."""

import json
import shutil
from pathlib import Path

import httpx
import pytest

import install
from command import cluster, kubectl
from load import Load
from relay import ask
from wait import NotYet, until

pytestmark = pytest.mark.node
VARIABLES = {"$__rate_interval": "30s", "$__range": "5m", "$__interval": "5s", "$route": ".+"}


class Prometheus:
    """Its HTTP API."""

    def __init__(self, address):
        self.http = httpx.Client(base_url=f"http://{address}:9090/api/v1", timeout=10, trust_env=False)

    def ask(self, path, **query):
        """The data of an answer."""
        answer = self.http.get(path, params=query)
        body = answer.json()
        assert body["status"] == "success", f"{path} {query}: {body}"
        return body["data"]

    def series(self, query):
        """The result of a query now."""
        return self.ask("/query", query=query)["result"]


@pytest.fixture(scope="module")
def prometheus(kube, relay):
    """Prometheus in the cluster, and the chart told to be watched.

    In this order, since a Prometheus that runs already sees a new ServiceMonitor only when the kubelet renews its mounted configuration."""
    kinds = Path(shutil.which("kubectl")).parent.parent / "prometheus-operator-crd"
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=relay-e2e", "-f", kinds)
    install.established("servicemonitors.monitoring.coreos.com")
    monitoring = {"serviceMonitor": {"enabled": True, "interval": "1s"}, "dashboards": {"enabled": True}}
    install.charts(metrics=monitoring)
    cluster("prometheus-up", within=240)
    return Prometheus(kube.get("Service", "monitoring", "prometheus")["spec"]["clusterIP"])


def dashboard_queries():
    """Panel title -> queries of the dashboard as Grafana's sidecar would find it."""
    found = json.loads(kubectl("get", "configmaps", "-A", "-l", "grafana_dashboard=1", "-o", "json").stdout)["items"]
    assert len(found) == 1
    (text,) = found[0]["data"].values()
    panels = json.loads(text)["panels"]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels if panel.get("targets")}


def filled(query):
    """A query as Grafana sends it."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query, f"a variable that the test does not know: {query}"
    return query


def test_every_operator_and_proxy_is_a_target_and_up(prometheus, relay):
    wanted = {pod["metadata"]["name"] for component in ("operator", "proxy") for pod in relay.pods(component)}

    def probe():
        targets = prometheus.ask("/targets", state="active")["activeTargets"]
        ours = {t["labels"]["pod"]: f"{t['health']} {t['lastError']}" for t in targets if t["labels"].get("namespace") == install.NAMESPACE}
        if set(ours) != wanted or any(not health.startswith("up") for health in ours.values()):
            raise NotYet(f"{ours}; wanted {sorted(wanted)}")

    until("all operators and proxies to be targets that are up", probe, within=150)


def test_every_query_of_the_dashboard_returns_data_after_a_load(prometheus, relay, team, providers):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    queries = dashboard_queries()
    assert len(queries) == 6
    load = Load(relay.url, team.key, rate=10, streams=2, stream_tokens=20, gap=20)
    load.start()
    try:
        for title, expressions in queries.items():
            for expression in expressions:
                _until_data(prometheus, title, filled(expression), lambda: ask(relay.url, team.key, "fake-503"))
    finally:
        load.stop()
    assert not load.failures


def _until_data(prometheus, title, query, disturb):
    """Waits until a query returns numbers; errors, which a good load has none of, are made meanwhile."""

    def probe():
        disturb()
        values = [sample["value"][1] for sample in prometheus.series(query)]
        if not values or "NaN" in values or not any(float(value) > 0 for value in values):
            raise NotYet(f"{values}")

    until(f"panel {title!r} to have data by {query}", probe, within=60, every=0.5)


def test_the_seeds_five_metrics_have_their_exact_names_and_labels(prometheus):
    wanted = {
        "relay_requests_total": {"route", "tenant", "provider", "code", "end"},
        "relay_duration_ms_bucket": {"route", "provider", "kind", "le"},
        "relay_errors_total": {"route", "provider", "reason"},
        "relay_active_connections": set(),
        "relay_storage_write_ms_bucket": {"store", "result", "le"},
    }
    added = {"__name__", "job", "instance", "namespace", "pod", "service", "endpoint", "container"}
    for name, labels in wanted.items():
        series = prometheus.series(name)
        assert series, f"no series of {name}"
        assert {frozenset(found["metric"]) - added for found in series} == {frozenset(labels)}, name
