"""What the scenarios share: the installed relay, and a namespace of its own for each test that asks for one."""

import itertools
import uuid

import httpx
import pytest
import yaml

import figures
import install
import node
from command import kubectl
from kube import Kube
from provider import Provider
from relay import Everyone, Relay
from team import CANARIES, Team
from wait import NotYet, until

# What disturbs the others comes last; what looks for traces of all of them comes before the logs are lost.
ORDER = (
    "test_quickstart", "test_limits", "test_changes", "test_verdicts", "test_figures", "test_rights", "test_metrics",
    "test_restart", "test_outage",
)
DEMO_KEYS = {"fake-openai-key-not-a-secret", "fake-anthropic-key-not-a-secret", "relay-demo-tenant-key-not-a-secret"}


def pytest_collection_modifyitems(items):
    """Sorts the modules by ORDER; within a module the order stays."""
    items.sort(key=lambda item: ORDER.index(item.module.__name__))


@pytest.fixture(scope="session")
def kube():
    """The Kubernetes API."""
    return Kube()


@pytest.fixture(scope="session")
def relay(kube):
    """The relay, installed by its charts and idle."""
    install.charts()
    found = Relay(kube)
    found.proxies()
    return found


@pytest.fixture(scope="session")
def quickstart(kube, relay):
    """deploy/quickstart, Ready; this is its provider."""
    for pod in (*relay.pods("operator"), *relay.pods("proxy")):
        idle(pod)
    install.quickstart()
    CANARIES.update(dict.fromkeys(DEMO_KEYS, "quickstart"))
    return provider_of(kube, install.DEMO, "provider")


def idle(pod):
    """Notes the memory of a pod that had nothing to do yet; where the node's processes are not to be seen, nothing."""
    component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    program = {"operator": "/relay-operator", "proxy": "/relay-dataplane"}[component]
    for pid in node.processes(pod["metadata"]["uid"], program):
        rss, anonymous = node.resident_mib(pid)
        figures.say(f"RSS idle, {pod['metadata']['name']}", f"{rss:.1f} MiB, of which anonymous {anonymous:.1f} MiB")


def provider_of(kube, namespace, name):
    """A provider by its Service, once that leads to its one pod: the node's rules follow a rollout by up to a second."""
    found = Provider(name, namespace, kube.get("Service", namespace, name)["spec"]["clusterIP"])

    def probe():
        pods = [pod["metadata"]["name"] for pod in kube.items("Pod", namespace, labelSelector=f"app={name}")]
        if len(pods) != 1:
            raise NotYet(f"{pods}")
        for _ in range(8):  # each on a connection of its own, so that each could meet another pod
            httpx.get(f"{found.address}/_fake/health", timeout=2, trust_env=False).raise_for_status()

    until(f"the Service of the provider {name} to lead to one pod that answers", probe, within=30)
    return found


@pytest.fixture(scope="session")
def providers(kube):
    """Two providers that say their names: alpha and beta."""
    names = ("alpha", "beta")
    install.providers(names)
    return [provider_of(kube, install.PROVIDERS, name) for name in names]


@pytest.fixture(scope="session")
def team_names():
    """Names of namespaces that no earlier run on this cluster used."""
    run = uuid.uuid4().hex[:6]
    return (f"team-{run}-{number}" for number in itertools.count(1))


@pytest.fixture
def team(kube, relay, team_names):
    """A namespace of the test's own."""
    made = Team(kube, next(team_names))
    yield made
    made.remove()


@pytest.fixture
def everyone(relay):
    """A kept connection to each proxy."""
    made = Everyone(relay.proxies())
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows with a failure how the relay was at that moment."""
    report = yield
    if report.failed and report.when in ("setup", "call"):
        report.sections.append(("the cluster at that moment", state()))
    return report


def state():
    """Pods, objects with their conditions, and the last words of the operators."""
    asked = (
        ("get", "pods", "-n", install.NAMESPACE, "-o", "wide"),
        ("get", "relay", "-A", "-o", "wide"),
        ("logs", "-n", install.NAMESPACE, "-l", "app.kubernetes.io/component=operator", "--prefix", "--tail=8"),
        ("logs", "-n", install.NAMESPACE, "-l", "app.kubernetes.io/component=proxy", "--prefix", "--tail=4"),
    )
    said = []
    for args in asked:
        done = kubectl(*args, "--request-timeout=5s", check=False)
        said.append(f"$ kubectl {' '.join(args)}\n{done.stdout}{done.stderr}")
    return "\n".join(said)


def pytest_terminal_summary(terminalreporter):
    """Prints the figures."""
    if figures.FOUND:
        terminalreporter.section("figures")
        terminalreporter.write(yaml.safe_dump(figures.FOUND, sort_keys=False, allow_unicode=True, width=200))
    figures.write()
