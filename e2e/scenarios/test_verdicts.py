"""What is wrong in an object is refused at `kubectl apply`; what depends on others shows in its status; good routes serve on."""

import copy
import json

import openai
import pytest
import yaml

import manifests
from command import kubectl
from relay import MESSAGES
from team import Team

URL = "http://alpha.relay-providers.svc:8081"


def _changed(manifest, path, value):
    """The manifest with the value at the path; None removes it."""
    changed = copy.deepcopy(manifest)
    at = changed["spec"]
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed


ROUTE, TENANT = manifests.route("unset", "bad", URL), manifests.tenant("unset", "bad", "tenant")
REWRITTEN = manifests.route("unset", "bad", URL, rewrite={"prefix": "/"})
KEPT_ALIVE = manifests.route("unset", "bad", URL, keepAlive={"interval": "15s"})
BACKEND, KEY = ("backends", 0), ("apiKeys", 0)
BUDGET = {"name": "month", "unit": "Tokens", "amount": 5, "per": "Month"}
X_TIER = {"name": "x-tier", "value": "a"}
REFUSED = {
    "plaintext": (ROUTE, (*BACKEND, "allowPlaintext"), None, "url must be https://, or http:// together with allowPlaintext: true"),
    "user in url": (ROUTE, (*BACKEND, "url"), "https://me@api.test", "credentials belong in credential.secretRef"),
    "no credential": (ROUTE, (*BACKEND, "credential"), None, "credential is required for this provider: set credential"),
    "custom without url": (ROUTE, ("backends",), [{"name": "only", "provider": "Custom"}], "url is required for provider Custom"),
    "framing header": (ROUTE, (*BACKEND, "credential", "header"), "Host", "use authorization, x-api-key"),
    "two paths": (ROUTE, ("matches", 0, "path"), {"prefix": "/v1", "exact": "/v1"}, "exactly one of prefix or exact must be set"),
    "relative path": (ROUTE, ("matches", 0, "path"), {"prefix": "v1"}, "a path must start with /"),
    "climbing path": (ROUTE, ("matches", 0, "path"), {"prefix": "/v1/../x"}, "write it as it appears in the request, such as /v1"),
    "star inside": (ROUTE, ("matches", 0, "models"), ["gpt-*-mini"], "a model is an exact name or a prefix with one trailing *"),
    "long timeout": (ROUTE, ("timeouts",), {"idle": "25h"}, "a duration must not be longer than 24h"),
    "big body": (ROUTE, ("body",), {"max": "2Gi"}, "body.max must be more than 0 and at most 1Gi: write it like 10Mi"),
    "unknown provider": (ROUTE, (*BACKEND, "provider"), "Other", 'supported values: "OpenAI"'),
    "unknown field": (ROUTE, ("record",), "Bodies", 'unknown field "spec.record"'),
    "azure without url": (
        ROUTE,
        ("backends",),
        [{"name": "only", "provider": "AzureOpenAI", "credential": {"secretRef": {"name": "provider", "key": "api-key"}}}],
        "url is required for provider Custom, AzureOpenAI and AzureSpeech",
    ),
    "header twice": (ROUTE, ("matches", 0, "headers"), [X_TIER, {"name": "X-Tier", "value": "b"}], "upper and lower case mean the same"),
    "key as match": (ROUTE, ("matches", 0, "headers"), [{"name": "Authorization", "value": "x"}], "a match can't name a header that frames"),
    "line break": (ROUTE, ("matches", 0, "headers"), [{"name": "x", "value": "a\r\nb: c"}], "the value of a header must be visible ASCII"),
    "framing set": (ROUTE, (*BACKEND, "headers"), {"set": [{"name": "Host", "value": "x"}]}, "headers must not name a header that frames"),
    "framing removed": (ROUTE, (*BACKEND, "headers"), {"remove": ["content-length"]}, "headers must not name a header that frames"),
    "own header": (ROUTE, (*BACKEND, "headers"), {"remove": ["Authorization"]}, "the header of the backend's credential"),
    "own header set": (
        ROUTE,
        (*BACKEND, "headers"),
        {"set": [{"name": "authorization", "value": "x"}]},
        "the header of the backend's credential",
    ),
    "two models": (ROUTE, (*BACKEND, "model"), {"name": "a", "map": {"a": "b"}}, "exactly one of name or map must be set"),
    "no map": (ROUTE, (*BACKEND, "model"), {"map": {}}, "spec.backends[0].model.map"),
    "heavy": (ROUTE, (*BACKEND, "weight"), 1_000_001, "spec.backends[0].weight"),
    "late priority": (ROUTE, (*BACKEND, "priority"), 16, "spec.backends[0].priority"),
    "ca in the clear": (ROUTE, (*BACKEND, "tls"), {"caRef": {"name": "ca"}}, "tls goes with an https:// url"),
    "relative rewrite": (ROUTE, ("rewrite",), {"prefix": "v1"}, "rewrite.prefix must start with /"),
    "rewritten exact path": (REWRITTEN, ("matches", 0, "path"), {"exact": "/v1"}, "rewrite.prefix replaces a matched prefix"),
    "unknown format": (ROUTE, ("format",), "OpenAi", 'supported values: "Auto"'),
    "long connect": (ROUTE, ("timeouts",), {"connect": "25h"}, "a duration must not be longer than 24h"),
    "fast keep-alive": (ROUTE, ("keepAlive",), {"interval": "100ms"}, "keepAlive.interval must be 1s to 1h"),
    "keep-alive for gemini": (KEPT_ALIVE, (*BACKEND, "provider"), "Gemini", "keepAlive sends comments"),
    "keep-alive in gemini's format": (KEPT_ALIVE, ("format",), "GeminiStream", "keepAlive sends comments"),
    "many retries": (ROUTE, ("retries",), {"attempts": 6}, "spec.retries.attempts"),
    "retried success": (ROUTE, ("retries",), {"statuses": [200]}, "spec.retries.statuses[0]"),
    "hedge alone": (ROUTE, ("hedge",), {"after": "1s"}, "hedge asks a second backend"),
    "instant hedge": (ROUTE, ("hedge",), {"after": "0s"}, "hedge.after must be more than 0s"),
    "limit of cancel": (ROUTE, ("onClientGone",), {"mode": "Cancel", "limit": "30s"}, "onClientGone.limit goes with mode: Drain"),
    "no time": (TENANT, (*KEY, "notAfter"), "tomorrow", "spec.apiKeys[0].notAfter"),
    "unknown end": (TENANT, ("onSuspend",), "Kill", 'supported values: "Finish", "Cut"'),
    "no key form": (TENANT, (*KEY, "secretRef"), None, "exactly one of secretRef or sha256 must be set"),
    "key as digest": (TENANT, (*KEY, "sha256"), "not-a-digest", "spec.apiKeys[0].sha256"),
    "amount alone": (TENANT, ("limits", "requests"), {"amount": 5}, "amount and per go together"),
    "count alone": (TENANT, ("limits", "tokens"), {"unlimited": True, "count": "Input"}, "count goes with amount and per"),
    "unknown count": (TENANT, ("limits", "tokens"), {"amount": 5, "per": "Hour", "count": "Cached"}, 'supported values: "Input"'),
    "characters without a period": (TENANT, ("limits", "characters"), {"amount": 5}, "amount and per go together"),
    "no streams": (TENANT, ("limits", "streams"), {"max": 0}, "spec.limits.streams.max"),
    "too many streams": (ROUTE, ("limits",), {"streams": {"max": 1_000_001}}, "spec.limits.streams.max"),
    "empty limit of a route": (ROUTE, ("limits",), {"requests": {}}, "set either amount (with per)"),
    "budget of a route": (ROUTE, ("budgets",), [BUDGET], 'unknown field "spec.budgets"'),
    "redis ignored": (TENANT, ("limits", "onRedisUnavailable"), "Ignore", 'supported values: "Local", "Allow", "Deny"'),
    "endless output": (ROUTE, ("maxOutput",), 10_000_001, "spec.maxOutput"),
    "unknown usage": (ROUTE, ("usage",), "Guess", 'supported values: "AsSent", "Ask"'),
    "stopped requests": (TENANT, ("budgets",), [BUDGET | {"unit": "Requests", "atLimit": "StopStreams"}], "atLimit: StopStreams goes with unit Tokens"),
    "weekly budget": (TENANT, ("budgets",), [BUDGET | {"per": "Week"}], 'supported values: "Day", "Month"'),
    "inexact budget": (TENANT, ("budgets",), [BUDGET | {"amount": 2**53}], "spec.budgets[0].amount"),
    "no zone": (TENANT, ("budgets",), [BUDGET | {"timeZone": "Central European"}], "spec.budgets[0].timeZone"),
    "budget twice": (TENANT, ("budgets",), [BUDGET, BUDGET], "spec.budgets[1]"),
    "nine budgets": (TENANT, ("budgets",), [BUDGET | {"name": f"b{number}"} for number in range(9)], "spec.budgets"),
    "both limits": (TENANT, ("limits", "requests"), {"amount": 5, "per": "Hour", "unlimited": True}, "set either amount (with per)"),
}


# Every field at once, some at their bounds.
FULL = {
    "matches": [{"path": {"prefix": "/team"}, "headers": [X_TIER, {"name": "X-Region", "value": "eu west"}]}],
    "rewrite": {"prefix": "/"},
    "format": "OpenAIChat",
    "timeouts": {"connect": "1s", "firstByte": "2m", "idle": "0s", "total": "24h"},
    "keepAlive": {"interval": "1h"},
    "retries": {"attempts": 0, "statuses": [400, 599], "budgetPercent": 100},
    "hedge": {"after": "1ms", "maxPercent": 1},
    "onClientGone": {"mode": "Drain", "limit": "1s"},
    "limits": {
        "requests": {"unlimited": True},
        "tokens": {"amount": 1_000_000_000, "per": "Day", "burst": 1, "count": "Input"},
        "characters": {"amount": 0, "per": "Minute"},
        "streams": {"max": 1},
    },
    "usage": "Ask",
    "maxOutput": 10_000_000,
    "backends": [
        {
            "name": "own",
            "provider": "Custom",
            "url": "https://llm.internal",
            "model": {"map": {"org/a.b:c": "x"}},
            "headers": {"set": [{"name": "Authorization", "value": "none"}], "remove": ["x-debug"]},
            "weight": 0,
            "priority": 15,
            "tls": {"caRef": {"name": "ca"}},
        },
        {"name": "other", "provider": "Custom", "url": "https://llm.internal", "model": {"name": "large"}, "weight": 1_000_000},
    ],
}


LIMITS = {
    "requests": {"amount": 0, "per": "Second", "burst": 1},
    "tokens": {"amount": 100_000, "per": "Minute", "count": "Output"},
    "characters": {"unlimited": True},
    "streams": {"max": 1_000_000},
    "onRedisUnavailable": "Deny",
}
BUDGETS = [
    BUDGET | {"amount": 2**53 - 1, "timeZone": "America/Argentina/Buenos_Aires", "atLimit": "StopStreams"},
    {"name": "day", "unit": "Requests", "amount": 1, "per": "Day", "timeZone": "Etc/GMT+8", "atLimit": "RefuseNew"},
]


@pytest.fixture(scope="module")
def refusals(kube, relay):
    """A namespace in which nothing is ever accepted."""
    kube.apply(manifests.namespace("relay-refusals"))
    yield "relay-refusals"
    kube.delete("Namespace", None, "relay-refusals")


@pytest.mark.parametrize("case", REFUSED)
def test_kubectl_apply_refuses_it_and_names_the_cure(refusals, case):
    manifest, path, value, cure = REFUSED[case]
    changed = _changed(manifest, path, value)
    changed["metadata"]["namespace"] = refusals
    done = kubectl("apply", "-f", "-", stdin=yaml.safe_dump(changed), check=False)
    assert done.returncode != 0, f"it was taken: {done.stdout}"
    assert cure in done.stderr


def test_kubectl_apply_takes_every_field_and_keeps_it(refusals):
    route = manifests.route(refusals, "full", URL, **FULL)
    tenant = manifests.tenant(refusals, "full", "tenant")
    tenant["spec"] |= {"onSuspend": "Cut", "limits": LIMITS, "budgets": BUDGETS}
    tenant["spec"]["apiKeys"][0]["notAfter"] = "2027-01-31T12:00:00Z"
    done = kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=yaml.safe_dump_all([route, tenant]))
    kept = [item["spec"] for item in json.loads(done.stdout)["items"]]
    assert kept == [route["spec"], tenant["spec"]]


def test_a_missing_secret_is_told_holds_the_routes_place_and_heals(team, relay, providers):
    team.tenant()
    team.route(providers[0].url, "all")
    team.ready()
    path = "/v1/chat/completions"
    team.route(providers[0].url, "broken", path={"exact": path}, secret="later")
    condition = team.kube.until_condition("RelayRoute", team.name, "broken", "ResolvedRefs", "False", "SecretNotFound")
    assert "spec.backends[0].credential.secretRef.name" in condition["message"] and "later" in condition["message"]
    ready = team.kube.until_condition("RelayRoute", team.name, "broken", "Ready", "False")
    assert ready["reason"] == "SecretNotFound"
    with openai.OpenAI(base_url=f"{relay.url}/v1", api_key=team.key, max_retries=0) as client:
        mark = providers[0].mark()
        with pytest.raises(openai.InternalServerError) as refused:
            client.chat.completions.create(model="fake-ok", messages=MESSAGES)
        assert (refused.value.status_code, refused.value.code) == (503, "route_not_ready")
        assert providers[0].requests(mark) == [], "the request slid to the less specific route"
        assert client.models.list().data, "the good route serves on"
        team.secret("later", {"api-key": team.provider_key})
        team.kube.until_condition("RelayRoute", team.name, "broken", "Ready")
        client.chat.completions.create(model="fake-ok", messages=MESSAGES)


def test_a_missing_key_in_a_secret_is_told(team, providers):
    team.route(providers[0].url, secret="tenant")
    condition = team.kube.until_condition("RelayRoute", team.name, "chat", "ResolvedRefs", "False", "SecretKeyMissing")
    assert "spec.backends[0].credential.secretRef.key" in condition["message"] and "api-key" in condition["message"]


def test_a_time_zone_that_the_relay_does_not_know_is_told(team, relay):
    tenant = manifests.tenant(team.name, "zoned", "tenant")
    tenant["spec"]["budgets"] = [BUDGET | {"timeZone": "Europe/Bonn"}]
    team.kube.apply(tenant)
    condition = team.kube.until_condition("RelayTenant", team.name, "zoned", "Accepted", "False", "Invalid")
    assert condition["message"].startswith("spec.budgets[0].timeZone: ") and "such as UTC or Europe/Berlin" in condition["message"]
    tenant["spec"]["budgets"][0]["timeZone"] = "Europe/Berlin"
    team.kube.apply(tenant)
    team.kube.until_condition("RelayTenant", team.name, "zoned", "Accepted")


def test_a_guessable_tenant_key_is_refused_and_its_text_not_told(team, relay):
    team.secret("short", {"key": "0123456789abcdefghi"})
    team.tenant(name="guessable", secret="short")
    condition = team.kube.until_condition("RelayTenant", team.name, "guessable", "ResolvedRefs", "False", "InvalidKey")
    assert "at least 20 bytes" in condition["message"] or "shorter than 20 bytes" in condition["message"]
    assert "0123456789" not in condition["message"]


def test_two_tenants_with_one_key_leave_it_to_the_older_and_the_good_one_serves_on(team, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    team.tenant(name="younger")
    condition = team.kube.until_condition("RelayTenant", team.name, "younger", "Accepted", "False", "KeyConflict")
    assert condition["message"].startswith("spec.apiKeys[0].secretRef")
    team.kube.until_condition("RelayTenant", team.name, "team", "Ready")
    assert everyone.identities(team.key) == [providers[0].name] * 3


def test_a_bad_route_leaves_the_good_ones_serving(team, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    bad = yaml.safe_dump(manifests.route(team.name, "chat", "http://not a host"))
    assert kubectl("apply", "-f", "-", stdin=bad, check=False).returncode != 0
    team.route(providers[1].url, "unresolved", path={"prefix": "/v1/audio"}, secret="nowhere")
    team.kube.until_condition("RelayRoute", team.name, "unresolved", "Ready", "False")
    assert everyone.identities(team.key) == [providers[0].name] * 3


def test_a_route_of_another_namespace_serves_only_by_consent_of_both(team, kube, team_names, providers, everyone):
    team.tenant()
    other = Team(kube, next(team_names))
    try:
        foreign = manifests.route(other.name, "foreign", providers[1].url)
        kube.apply(foreign)
        other.ready()
        statuses = [response.status_code for response in everyone.ask(team.key)]
        assert statuses == [404] * 3, "neither side consented"
        foreign["spec"]["tenants"] = {"namespaces": {"from": "All"}}
        kube.apply(foreign)
        other.ready()
        assert [response.status_code for response in everyone.ask(team.key)] == [404] * 3, "the tenant did not consent"
        mine = manifests.tenant(team.name, "team", "tenant")
        selector = {"matchLabels": {"kubernetes.io/metadata.name": other.name}}
        mine["spec"]["allowedRoutes"] = {"namespaces": {"from": "Selector", "selector": selector}}
        kube.apply(mine)
        team.ready()
        assert everyone.identities(team.key) == [providers[1].name] * 3
    finally:
        other.remove()
