"""What the parts may do in the cluster, and that no secret text is ever seen outside of Secrets."""

import base64
import hashlib

import httpx
import pytest

import manifests
from command import kubectl
from install import DEMO, NAMESPACE
from relay import ask
from team import CANARIES, canary

PROXY = f"--as=system:serviceaccount:{NAMESPACE}:stream-relay-proxy"
OPERATOR = f"--as=system:serviceaccount:{NAMESPACE}:stream-relay-operator"


def may(who, *what):
    """Whether the API server would let it."""
    done = kubectl("auth", "can-i", who, *what, check=False)
    answer = (done.stdout.split() or [""])[-1]
    assert answer in ("yes", "no"), f"{done.stdout}{done.stderr}"
    return answer == "yes"


MAY = [
    (PROXY, "get", "configmaps/relay-config"),
    (PROXY, "get", "configmaps/relay-config-15"),
    (PROXY, "get", "secrets/relay-secrets-0"),
    (PROXY, "watch", "configmaps/relay-config"),
    (OPERATOR, "patch", "relayroutes.stream-relay.dev", "--subresource=status", "-n", DEMO),
    (OPERATOR, "list", "secrets", "-A"),
    (OPERATOR, "patch", "secrets/relay-secrets-3"),
]
MAY_NOT = [
    (PROXY, "list", "secrets"),
    (PROXY, "get", "secrets/another"),
    (PROXY, "get", "secrets/openai", "-n", DEMO),
    (PROXY, "list", "configmaps"),
    (PROXY, "watch", "secrets/relay-secrets-0"),
    (PROXY, "patch", "configmaps/relay-config"),
    (PROXY, "get", "relayroutes.stream-relay.dev", "-A"),
    (OPERATOR, "patch", "relayroutes.stream-relay.dev", "-n", DEMO),
    (OPERATOR, "update", "relaytenants.stream-relay.dev", "-n", DEMO),
    (OPERATOR, "delete", "relayroutes.stream-relay.dev", "-n", DEMO),
    (OPERATOR, "patch", "secrets/openai", "-n", DEMO),
    (OPERATOR, "patch", "secrets/another"),
    (OPERATOR, "create", "pods"),
    (OPERATOR, "create", "pods", "--subresource=exec", "-n", DEMO),
]


@pytest.mark.parametrize("what", MAY, ids=lambda what: " ".join(what[1:]))
def test_rights_cover_what_the_parts_do(quickstart, what):
    assert may(*_in_own_namespace(what))


@pytest.mark.parametrize("what", MAY_NOT, ids=lambda what: " ".join(what[1:]))
def test_rights_cover_nothing_more(quickstart, what):
    assert not may(*_in_own_namespace(what))


def _in_own_namespace(what):
    return what if "-n" in what or "-A" in what else (*what, "-n", NAMESPACE)


def test_the_api_server_refuses_the_proxies_a_list_of_secrets_and_the_operator_a_change_of_spec(quickstart):
    listed = kubectl("get", "secrets", "-n", NAMESPACE, PROXY, check=False)
    assert listed.returncode != 0 and "cannot list resource" in listed.stderr
    patch = ("patch", "relayroute", "chat", "-n", DEMO, "--type=merge", "-p", '{"spec": {"body": {"max": "1Mi"}}}', OPERATOR)
    patched = kubectl(*patch, check=False)
    assert patched.returncode != 0 and "cannot patch resource" in patched.stderr


def test_the_operator_owns_no_field_outside_of_status(kube, quickstart):
    for kind in ("RelayRoute", "RelayTenant"):
        for found in kube.items(kind, DEMO):
            managers = [entry for entry in found["metadata"]["managedFields"] if "operator" in entry["manager"]]
            assert managers, "nobody reports on this object"
            assert all(list(entry["fieldsV1"]) == ["f:status"] for entry in managers)
            assert "finalizers" not in found["metadata"]


def _forms(text):
    """A text as it would look in YAML, in logs, and in encodings that are as good as itself."""
    return {text, base64.b64encode(text.encode()).decode().rstrip("="), f"Bearer {text}"}


def _everything_readable(relay):
    """What people and programs read without being given Secrets: objects, events, logs, metrics. Name -> text."""
    seen = {}
    for what in ("configmaps", "relayroutes", "relaytenants", "events", "pods", "deployments"):
        seen[what] = kubectl("get", what, "-A", "-o", "yaml", "--show-managed-fields").stdout
    for namespace in (NAMESPACE, DEMO, "relay-providers"):
        for pod in kubectl("get", "pods", "-n", namespace, "-o", "name").stdout.split():
            seen[f"log of {namespace}/{pod}"] = kubectl("logs", "-n", namespace, pod, "--all-containers", "--tail=-1").stdout
    for pod in (*relay.pods("proxy"), *relay.pods("operator")):
        answer = httpx.get(f"http://{pod['status']['podIP']}:9090/metrics", timeout=5, trust_env=False)
        seen[f"metrics of {pod['metadata']['name']}"] = answer.raise_for_status().text
    return seen


def test_no_secret_text_is_seen_outside_of_secrets(team, relay, quickstart, providers):
    """With all the keys of all the tests before, and objects and requests that go wrong, since errors are where such things leak."""
    team.tenant()
    team.route(providers[0].url)
    team.route("http://nowhere.relay-providers.svc:8081", "unreachable", path={"prefix": "/v1/nowhere"})
    short, wrong = "short-canary-text", canary("wrong key")
    team.secret("short", {"key": short})
    team.tenant(name="guessable", secret="short")
    team.kube.apply(manifests.tenant(team.name, "younger", "tenant"))
    for name, status in (("guessable", "ResolvedRefs"), ("younger", "Accepted")):
        team.kube.until_condition("RelayTenant", team.name, name, status, "False")
    team.kube.until_condition("RelayRoute", team.name, "unreachable", "Ready")
    answers = [
        ask(relay.url, team.key),
        ask(relay.url, team.key, "fake-500"),
        ask(relay.url, team.key, path="/v1/nowhere"),
        ask(relay.url, team.key, path="/elsewhere"),
        ask(relay.url, wrong),
        ask(relay.url, wrong, path=f"/v1/chat/completions?key={wrong}"),
    ]
    assert [answer.status_code for answer in answers] == [200, 500, 502, 404, 401, 401]
    seen = _everything_readable(relay) | {"answers": "\n".join(f"{a.headers} {a.text}" for a in answers)}
    secrets = CANARIES | {short: "short key"}
    leaks = {
        f"{what} in {place}"
        for text, what in secrets.items() for place, content in seen.items() if any(form in content for form in _forms(text))
    }
    assert not leaks
    assert "canary" not in "".join(seen.values()), "a piece of a key is seen"
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in secrets]
    assert not [place for place, content in seen.items() if any(digest in content for digest in digests)], "a whole digest is seen"
