"""What the tests of charts and manifests share: the tools, and a chart rendered by Helm."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
CHART = TOP / "charts" / "stream-relay"
CRDS = TOP / "charts" / "stream-relay-crds"
RELEASE, NAMESPACE = "stream-relay", "relay-system"
# `helm template` asks no cluster; this is the version it renders for.
KUBERNETES = "1.35.0"
# Everything that can be switched on at once.
EVERYTHING = {
    "redis": {"bundled": {"enabled": True}},
    "networkPolicy": {"enabled": True},
    "metrics": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}},
}


def tool(name):
    folder = os.environ.get("RELAY_BIN")
    path = shutil.which(name, path=folder) if folder else shutil.which(name)
    if path is None:
        where = f"in RELAY_BIN={folder}" if folder else "on PATH, and RELAY_BIN is not set"
        pytest.fail(f"no {name} {where}: build the tools with e2e/cluster/build and set RELAY_BIN to their folder", pytrace=False)
    return path


@pytest.fixture(scope="session")
def helm():
    """Runs Helm; the result is a CompletedProcess with text."""
    path = tool("helm")
    return lambda *arguments: subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="session")
def promtool():
    path = tool("promtool")
    return lambda *arguments: subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@pytest.fixture
def template(helm, tmp_path):
    """Renders a chart with values, as `helm template` prints it; the CompletedProcess."""

    def run(values=None, chart=CHART, release=RELEASE, namespace=NAMESPACE):
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values or {}))
        return helm("template", release, chart, "--namespace", namespace, "--kube-version", KUBERNETES, "--values", file)

    return run


@pytest.fixture
def render(template):
    """Renders a chart with values; the objects."""

    def run(values=None, **kwargs):
        done = template(values, **kwargs)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]

    return run


def one(objects, kind, name):
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
    return found[0]


def pod_specs(objects):
    """Name of a Deployment to the spec of its pods."""
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment"}


def assert_restricted(name, spec):
    """The restricted Pod Security Standard, and a read-only root with a fixed user beyond it."""
    for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
        assert not spec.get(forbidden), f"{name}: {forbidden}"
    allowed = {"configMap", "downwardAPI", "emptyDir", "projected", "secret"}
    for volume in spec.get("volumes", []):
        assert set(volume) - {"name"} <= allowed, f"{name}: volume {volume}"
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True and pod["runAsUser"] == pod["runAsGroup"] == 65532, name
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
    assert spec["containers"] and "initContainers" not in spec, name
    for container in spec["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert not set(security) & {"privileged", "runAsUser", "procMount", "seccompProfile"}, name
        assert "memory" in container["resources"]["requests"] and "memory" in container["resources"]["limits"], name
        assert all("hostPort" not in port for port in container.get("ports", [])), name
