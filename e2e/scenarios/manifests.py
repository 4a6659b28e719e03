"""Objects that the tests apply."""

import yaml

from command import TOP

GROUP = "stream-relay.dev/v1alpha1"
QUICKSTART = TOP / "deploy" / "quickstart"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def namespace(name):
    """A namespace in which only restricted pods run."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}


def secret(namespace, name, texts):
    """A Secret of texts."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": texts}


def route(namespace, name, url, path=None, secret="provider", provider="OpenAI", **spec):
    """A route with one backend. `path` is {prefix: /v1} unless told."""
    backend = {"name": "only", "provider": provider, "url": url, "allowPlaintext": True}
    backend["credential"] = {"secretRef": {"name": secret, "key": "api-key"}}
    spec = {"matches": [{"path": path or {"prefix": "/v1"}}], "backends": [backend]} | spec
    return {"apiVersion": GROUP, "kind": "RelayRoute", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def tenant(namespace, name, secret, requests=None):
    """A tenant with one key in a Secret, and the requests limit (none: unlimited)."""
    spec = {
        "apiKeys": [{"name": "only", "secretRef": {"name": secret, "key": "key"}}],
        "limits": {"requests": requests or {"unlimited": True}},
    }
    return {"apiVersion": GROUP, "kind": "RelayTenant", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def provider(namespace, name, annotations):
    """The quickstart's provider under another name, which it says in the header x-fake-identity."""
    deployment, service = yaml.safe_load_all((QUICKSTART / "10-provider.yaml").read_text())
    for found in (deployment, service):
        found["metadata"] = {"name": name, "namespace": namespace, "labels": {"app": name}}
    spec = deployment["spec"]
    spec["template"]["metadata"]["annotations"] = annotations
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = service["spec"]["selector"] = {"app": name}
    spec["template"]["spec"]["containers"][0]["args"] = ["--listen=0.0.0.0:8081", f"--identity={name}"]
    return [deployment, service]
