"""Changes reach every proxy, say so no sooner than that, and disturb no stream."""

import time

import pytest
import yaml

import figures
import manifests
import node
from command import kubectl
from kube import current, describe
from relay import Everyone, answered
from streams import Chat, Speech
from wait import NotYet, until

CHANGES = 50


def programmed(watch, generation):
    """Reads the watch until the object of this generation is Programmed. Returns at that very moment."""
    found = None
    for found in watch:
        if found["metadata"]["generation"] >= generation and current(found, "Programmed").get("status") == "True":
            return
    raise AssertionError(f"the watch ended before generation {generation} was Programmed: {describe(found) if found else 'nothing'}")


def test_a_backend_changed_by_kubectl_apply_is_served_by_every_proxy(team, providers, everyone):
    team.tenant()
    for provider in (*providers, providers[0]):
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifests.route(team.name, "chat", provider.url)))
        wait = ("wait", "--for=condition=Ready", "relayroute/chat", "relaytenant/team", "-n", team.name, "--timeout=20s")
        kubectl(*wait)
        assert everyone.identities(team.key) == [provider.name] * 3


def test_programmed_is_never_early_in_fifty_changes_and_no_stream_notices(team, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    proxies = everyone.proxies
    streams = [kind(proxy.url, team.key, 400, 50) for kind, proxy in zip((Speech, Chat, Speech), proxies, strict=True)]
    for stream in streams:
        stream.begun()
    since, took = team.kube.get("RelayRoute", team.name, "chat")["metadata"]["resourceVersion"], []
    watch = team.kube.watch("RelayRoute", team.name, "chat", since, within=60)
    for number in range(1, CHANGES + 1):
        provider, begun = providers[number % 2], time.monotonic()
        programmed(watch, team.route(provider.url)["metadata"]["generation"])
        took.append(time.monotonic() - begun)
        assert everyone.identities(team.key) == [provider.name] * 3, f"change {number} was Programmed before all served it"
    figures.say("apply of a route -> its Programmed=True is seen", figures.spread(took))
    assert all(stream.running() for stream in streams), f"the changes took {sum(took):.1f} s: longer than the streams"
    for stream in streams:
        stream.verify(providers[0])


@pytest.mark.node
def test_programmed_waits_for_a_proxy_that_hangs(team, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    slow, quick = everyone.proxies[0], Everyone(everyone.proxies[1:])
    # Shorter than the three seconds after which the kubelet takes it for not ready, and it no longer counts.
    with node.hanging(slow.uid, "/relay-dataplane"):
        end = time.monotonic() + 1.0
        generation = team.route(providers[1].url)["metadata"]["generation"]
        until("the two others to serve it", lambda: _all_by(providers[1], quick, team.key), within=1)
        samples = 0
        while time.monotonic() < end or samples == 0:
            samples += 1
            found = team.kube.get("RelayRoute", team.name, "chat")
            assert found["metadata"]["generation"] == generation
            assert current(found, "Programmed").get("status") != "True", describe(found)
            assert current(found, "Ready").get("status") != "True", describe(found)
    quick.close()
    team.ready()
    assert everyone.identities(team.key) == [providers[1].name] * 3


def _all_by(provider, everyone, key):
    seen = everyone.identities(key)
    if set(seen) != {provider.name}:
        raise NotYet(f"{seen}")


def test_a_rotated_secret_reaches_the_provider(team, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    for key in (team.provider_key, f"{team.provider_key}-rotated"):
        team.secret("provider", {"api-key": key})

        def probe(key=key):
            mark = providers[0].mark()
            assert all(answered(response) for response in everyone.ask(team.key))
            seen = [request["headers"]["authorization"] for request in providers[0].requests(mark)]
            if seen != [f"Bearer {key}"] * 3:
                raise NotYet(f"{seen}")

        until("all three proxies to send the Secret's new key", probe, within=15)


def test_a_rotated_tenant_key_takes_over_from_the_old_one(team, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    old, new = team.key, f"{team.key}-rotated"
    assert [r.status_code for r in everyone.ask(old) + everyone.ask(new)] == [200] * 3 + [401] * 3
    team.secret("tenant", {"key": new})

    def probe():
        statuses = [response.status_code for response in everyone.ask(old) + everyone.ask(new)]
        if statuses != [401] * 3 + [200] * 3:
            raise NotYet(f"old and new key are answered {statuses}")

    until("all three proxies to know the new key alone", probe, within=15)


def test_a_deleted_route_is_served_by_none(team, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    assert everyone.identities(team.key) == [providers[0].name] * 3
    team.kube.delete("RelayRoute", team.name, "chat")

    def probe():
        answers = [(response.status_code, response.headers.get("x-relay-error")) for response in everyone.ask(team.key)]
        if answers != [(404, "no_route")] * 3:
            raise NotYet(f"{answers}")

    until("all three proxies to know no route", probe, within=15)
