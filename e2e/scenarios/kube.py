"""The Kubernetes API over one kept connection: to see a change at the moment it happens, which kubectl's own start would blur."""

import base64
import json
import ssl
import tempfile

import httpx
import pytest

from command import kubectl
from wait import NotYet, until

RELAY = "apis/stream-relay.dev/v1alpha1"
# Kind -> group and version, plural, whether in a namespace.
KINDS = {
    "ConfigMap": ("api/v1", "configmaps", True),
    "Deployment": ("apis/apps/v1", "deployments", True),
    "Namespace": ("api/v1", "namespaces", False),
    "Pod": ("api/v1", "pods", True),
    "RelayRoute": (RELAY, "relayroutes", True),
    "RelayTenant": (RELAY, "relaytenants", True),
    "Secret": ("api/v1", "secrets", True),
    "Service": ("api/v1", "services", True),
}


class ApiError(Exception):
    """The API server refused. `status` is the HTTP status."""

    def __init__(self, response):
        self.status = response.status_code
        try:
            message = response.json().get("message", response.text)
        except json.JSONDecodeError:
            message = response.text
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status} {message}")


def _connection():
    """Base URL, TLS context and headers of the current context of KUBECONFIG."""
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").stdout)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster.get("certificate-authority-data", "")).decode() or None
    tls = ssl.create_default_context(cadata=authority)
    headers = {}
    if "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile() as pair:  # the ssl module takes a key from a file alone
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]) + b"\n")
            pair.flush()
            tls.load_cert_chain(pair.name)
    elif "token" in user:
        headers["authorization"] = f"Bearer {user['token']}"
    else:
        pytest.fail("the user of KUBECONFIG has neither a client certificate nor a token: the tests cannot use other ways to log in")
    return cluster["server"], tls, headers


class Kube:
    """A client with the rights of KUBECONFIG's user."""

    def __init__(self):
        server, self.tls, headers = _connection()
        self.http = httpx.Client(base_url=server, verify=self.tls, headers=headers, timeout=15, trust_env=False)

    @staticmethod
    def path(kind, namespace=None, name=None):
        """The path of an object, or of a kind's list."""
        group, plural, namespaced = KINDS[kind]
        parts = [group, "namespaces", namespace, plural, name] if namespaced and namespace else [group, plural, name]
        return "/" + "/".join(part for part in parts if part)

    def _answer(self, response):
        if response.is_error:
            raise ApiError(response)
        return response.json()

    def get(self, kind, namespace=None, name=None, **query):
        """An object, or without a name a list as it came."""
        return self._answer(self.http.get(self.path(kind, namespace, name), params=query))

    def items(self, kind, namespace=None, **query):
        """The objects of a kind."""
        return self.get(kind, namespace, **query)["items"]

    def apply(self, manifest):
        """Server-side apply, as `kubectl apply --server-side` does it. Returns the object."""
        meta = manifest["metadata"]
        path = self.path(manifest["kind"], meta.get("namespace"), meta["name"])
        query = {"fieldManager": "scenarios", "force": "true"}
        headers = {"content-type": "application/apply-patch+yaml"}
        return self._answer(self.http.patch(path, params=query, headers=headers, content=json.dumps(manifest)))

    def delete(self, kind, namespace, name=None):
        """Deletes an object if it is there; without a name all of that kind in the namespace."""
        response = self.http.delete(self.path(kind, namespace, name))
        if response.is_error and response.status_code != 404:
            raise ApiError(response)

    def watch(self, kind, namespace, name, since, within=30):
        """Yields an object's states as they come, for at most `within` seconds."""
        query = {"watch": "1", "fieldSelector": f"metadata.name={name}", "resourceVersion": since, "timeoutSeconds": within}
        timeout = httpx.Timeout(5, read=within + 5)
        with self.http.stream("GET", self.path(kind, namespace), params=query, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise ApiError(response)
            for line in response.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise AssertionError(f"the watch of {kind} {namespace}/{name} ended: {event['object']}")
                yield event["object"]

    def until_condition(self, kind, namespace, name, kind_of_condition, status="True", reason=None, within=20):
        """Waits until a condition of the object's present generation has this status (and reason). Returns the condition."""

        def probe():
            found = self.get(kind, namespace, name)
            condition = current(found, kind_of_condition)
            if condition.get("status") != status or (reason and condition.get("reason") != reason):
                raise NotYet(f"generation {found['metadata']['generation']}, {describe(found)}")
            return condition

        wanted = f"{kind} {namespace}/{name} to be {kind_of_condition}={status}" + (f" ({reason})" if reason else "")
        return until(wanted, probe, within)


def current(found, kind_of_condition):
    """The condition, if it speaks of the object's present generation; else {}."""
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] == kind_of_condition:
            return condition if condition.get("observedGeneration", 0) >= found["metadata"]["generation"] else {}
    return {}


def describe(found):
    """All conditions in one line."""
    conditions = found.get("status", {}).get("conditions", [])
    return "; ".join(
        f"{c['type']}={c['status']} {c['reason']} (generation {c.get('observedGeneration')}): {c['message']}" for c in conditions
    ) or "no conditions"
