"""The requests limit, counted in Redis over all proxies together."""

import asyncio
import re
import time

import openai
import pytest

from command import kubectl
from install import NAMESPACE, rolled_out
from relay import MESSAGES, answered, ask
from team import canary
from wait import until_true


async def _tried(client):
    """One request; None when it was admitted, else the refusal."""
    try:
        await client.chat.completions.create(model="fake-tokens-1", messages=MESSAGES)
    except openai.RateLimitError as refused:
        return refused
    return None


async def _all_at_once(urls, key, each):
    """So many concurrent requests to each of the addresses. Returns what became of them."""
    clients = [openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) for url in urls]
    try:
        return await asyncio.gather(*[_tried(client) for _ in range(each) for client in clients])
    finally:
        for client in clients:
            await client.close()


def _decisions(proxies, team, mode):
    return sum(proxy.metric("relay_limit_decisions_total", tenant=f"{team.name}/team", mode=mode) for proxy in proxies)


def test_exactly_five_of_sixty_concurrent_requests_over_three_proxies_are_admitted(team, relay, providers):
    team.tenant({"amount": 5, "per": "Hour"})
    team.route(providers[0].url)
    team.ready()
    mark, proxies = providers[0].mark(), relay.proxies()
    urls = [relay.url, *[proxy.url for proxy in proxies]]
    outcomes = asyncio.run(_all_at_once(urls, team.key, 15))
    refused = [outcome.response.headers for outcome in outcomes if outcome]
    modes = {mode: _decisions(proxies, team, mode) for mode in ("shared", "local")}
    assert len(outcomes) == 60 and len(outcomes) - len(refused) == 5, f"decided: {modes}"
    assert modes == {"shared": 60, "local": 0}
    assert len(providers[0].requests(mark)) == 5, "the provider saw a request that was refused"
    for headers in refused:
        assert headers["x-relay-error"] == "requests_limited"
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("5", "0")
        # The next one is 12 minutes away: longer than an SDK should sleep.
        assert "retry-after" not in headers and headers["x-should-retry"] == "false"


def test_retry_after_is_when_the_next_request_is_admitted(team, relay, providers):
    team.tenant({"amount": 20, "per": "Minute", "burst": 5})
    team.route(providers[0].url)
    team.ready()
    urls = [proxy.url for proxy in relay.proxies()]
    outcomes = asyncio.run(_all_at_once(urls, team.key, 4))
    refused = [outcome.response.headers for outcome in outcomes if outcome]
    assert len(refused) == 12 - 5
    waits = [int(headers["retry-after"]) for headers in refused]
    assert set(waits) <= {1, 2, 3}, "one request per 3 s comes back"
    assert all("x-should-retry" not in headers for headers in refused)
    time.sleep(max(waits))  # not to be safe: what the header says is what is tested
    assert answered(ask(urls[0], team.key)).headers["x-ratelimit-remaining-requests"] == "0"


def test_the_openai_sdk_waits_as_told_and_succeeds_by_itself(team, relay, providers):
    team.tenant({"amount": 60, "per": "Minute", "burst": 1})
    team.route(providers[0].url)
    team.ready()
    with openai.OpenAI(base_url=f"{relay.url}/v1", api_key=team.key, max_retries=4) as client:
        for _ in range(3):
            client.chat.completions.create(model="fake-tokens-1", messages=MESSAGES)


def test_amount_zero_admits_none(team, relay, providers):
    team.tenant({"amount": 0, "per": "Day"})
    team.route(providers[0].url)
    team.ready()
    with (
        openai.OpenAI(base_url=f"{relay.url}/v1", api_key=team.key, max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as refused,
    ):
        client.chat.completions.create(model="fake-tokens-1", messages=MESSAGES)
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_tenants_with_limits_are_degraded_while_redis_is_away_and_ready_all_the_same(team, relay, providers):
    team.tenant({"amount": 9, "per": "Hour"})
    team.secret("other", {"key": canary("another tenant's key")})
    team.tenant(name="free", secret="other")
    team.route(providers[0].url)
    team.ready()

    def conditions(name):
        found = team.kube.get("RelayTenant", team.name, name)
        return {condition["type"]: condition["status"] for condition in found["status"]["conditions"]}

    assert "Degraded" not in conditions("team")
    try:
        kubectl("scale", "deployment/stream-relay-redis", "--replicas=0", "-n", NAMESPACE)
        degraded = team.kube.until_condition("RelayTenant", team.name, "team", "Degraded", reason="LimitsNotShared", within=60)
        assert re.match(r"[123]/3 proxies keep their own share of the limits: \w", degraded["message"])
        assert conditions("team")["Ready"] == "True"
        assert "Degraded" not in conditions("free"), "it has no limits"
    finally:
        kubectl("scale", "deployment/stream-relay-redis", "--replicas=1", "-n", NAMESPACE)
        rolled_out(NAMESPACE, "stream-relay-redis")
    until_true("the tenant not to be degraded any more", lambda: "Degraded" not in conditions("team"), within=60)
    assert conditions("team")["Ready"] == "True"
