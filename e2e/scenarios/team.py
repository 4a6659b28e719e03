"""A namespace of a test's own, with a tenant and routes."""

import uuid

import manifests
from wait import NotYet, until

# Every secret text that any test of this run made: none may ever be seen outside of Secrets.
CANARIES = {}


def canary(what):
    """A new secret text."""
    text = f"canary-{uuid.uuid4().hex}"
    CANARIES[text] = what
    return text


class Team:
    """A namespace with a provider's key, a tenant's key, a tenant, and the routes that a test asks for."""

    def __init__(self, kube, name):
        self.kube, self.name = kube, name
        self.key, self.provider_key = canary(f"tenant key of {name}"), canary(f"provider key of {name}")
        kube.apply(manifests.namespace(name))
        self.secret("provider", {"api-key": self.provider_key})
        self.secret("tenant", {"key": self.key})

    def secret(self, name, texts):
        """Makes or changes a Secret."""
        self.kube.apply(manifests.secret(self.name, name, texts))

    def tenant(self, requests=None, name="team", secret="tenant"):
        """Makes or changes a tenant."""
        return self.kube.apply(manifests.tenant(self.name, name, secret, requests))

    def route(self, url, name="chat", **spec):
        """Makes or changes a route."""
        return self.kube.apply(manifests.route(self.name, name, url, **spec))

    def ready(self, within=20):
        """Waits until every route and tenant of the namespace is Ready."""
        for kind in ("RelayRoute", "RelayTenant"):
            for found in self.kube.items(kind, self.name):
                self.kube.until_condition(kind, self.name, found["metadata"]["name"], "Ready", within=within)
        return self

    def remove(self):
        """Takes the objects out of service now; the namespace goes in its own time."""
        for kind in ("RelayRoute", "RelayTenant"):
            self.kube.delete(kind, self.name)

            def gone(kind=kind):
                left = [found["metadata"]["name"] for found in self.kube.items(kind, self.name)]
                if left:
                    raise NotYet(f"{left} are still there")

            until(f"the {kind}s of {self.name} to go", gone)
        self.kube.delete("Namespace", None, self.name)
