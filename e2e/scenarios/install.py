"""Installs what is tested: both charts, the quickstart, and two more providers. Fine to repeat on a cluster that has them."""

import json
import os
import time

import yaml

import figures
import manifests
from command import TOP, helm, kubectl
from wait import NotYet, until

NAMESPACE = "stream-relay"
DEMO = "relay-demo"
PROVIDERS = "relay-providers"
CHARTS = TOP / "charts"
CRDS = ("relayroutes.stream-relay.dev", "relaytenants.stream-relay.dev")


def images():
    """What e2e/images told: component -> (digest, bytes). Nothing on clusters that have their images otherwise."""
    told = [line.split("=") for line in os.environ.get("RELAY_IMAGES", "").split()]
    return {component: (digest, int(size)) for component, digest, size in told}


def stamp(component):
    """Annotations of a component's pods. Tags stay when an image changes: the digest restarts the pods of an older one."""
    return {"stream-relay.dev/image": images().get(component, ("unknown", 0))[0]}


def values():
    """The chart's values. RELAY_VALUES names a file that is put over them, for clusters with other images."""
    return {
        "image": {name: {"repository": f"relay.test/{name}", "tag": "1"} for name in ("operator", "proxy", "redis")},
        "operator": {"replicas": 2, "podAnnotations": stamp("operator")},
        "proxy": {"replicas": 3, "podAnnotations": stamp("proxy")},
        "redis": {"bundled": {"enabled": True, "podAnnotations": stamp("redis")}},
    }


def upgrade(release, chart, settings, **options):
    """`helm upgrade --install` of a chart in this checkout."""
    extra = ["--values", os.environ["RELAY_VALUES"]] if release == NAMESPACE and os.environ.get("RELAY_VALUES") else []
    helm(
        "upgrade", "--install", release, CHARTS / chart, "--namespace", NAMESPACE, "--values", "-", *extra,
        stdin=yaml.safe_dump(settings), **options,
    )


def charts(**more):
    """Both charts, and waits until all of it runs."""
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifests.namespace(NAMESPACE)))
    upgrade("stream-relay-crds", "stream-relay-crds", {})
    established(*CRDS)
    upgrade(NAMESPACE, "stream-relay", values() | more)
    for component, (_, size) in images().items():
        figures.say(f"image {component}, unpacked", f"{size / 2**20:.1f} MiB")
    for component in ("redis", "proxy", "operator"):
        rolled_out(NAMESPACE, f"stream-relay-{component}")


def established(*crds):
    """Waits until the API server serves these kinds. `kubectl wait` alone fails on one that has no status yet."""

    def probe():
        done = kubectl("wait", "--for=condition=Established", "--timeout=10s", *[f"crd/{name}" for name in crds], check=False)
        if done.returncode != 0:
            raise NotYet(done.stderr)

    until(f"{crds} to be established", probe, within=30, every=0.2)


def rolled_out(namespace, deployment, within=90):
    """Waits for a rollout; what hinders it is told."""
    status = ("rollout", "status", f"deployment/{deployment}", f"--timeout={within}s", "-n", namespace)
    done = kubectl(*status, check=False, within=within + 10)
    if done.returncode != 0:
        pods = kubectl("get", "pods", "-n", namespace, "-o", "wide", check=False).stdout
        events = kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp", check=False).stdout.splitlines()[-15:]
        logs = kubectl("logs", "-n", namespace, f"deployment/{deployment}", "--tail=15", check=False)
        cure = "(ErrImageNeverPull, ImagePullBackOff: run e2e/images first)" if "Image" in pods else ""
        raise AssertionError(
            f"{namespace}/{deployment} is not rolled out after {within} s {cure}\n{done.stdout}{done.stderr}\n{pods}\n"
            + "\n".join(events) + f"\n{logs.stdout}{logs.stderr}"
        )


def quickstart():
    """`kubectl apply -f deploy/quickstart`, as its README says."""
    begun = time.monotonic()
    kubectl("apply", "-f", manifests.QUICKSTART)
    rolled_out(DEMO, "provider")
    kubectl("wait", "--for=condition=Ready", "relayroute,relaytenant", "--all", "-n", DEMO, "--timeout=60s", within=70)
    figures.say("kubectl apply -f deploy/quickstart until all is Ready", f"{time.monotonic() - begun:.1f} s")
    # On a cluster that is used again: a pod of an older image goes.
    patch = {"spec": {"template": {"metadata": {"annotations": stamp("provider")}}}}
    kubectl("patch", "deployment/provider", "-n", DEMO, "-p", json.dumps(patch))
    rolled_out(DEMO, "provider")


def providers(names):
    """Further providers, which say their names."""
    documents = [manifests.namespace(PROVIDERS)]
    for name in names:
        documents += manifests.provider(PROVIDERS, name, stamp("provider"))
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    for name in names:
        rolled_out(PROVIDERS, name)
