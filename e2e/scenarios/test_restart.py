"""Rolling restarts lose nothing, and of the operators one leads."""

import pytest

import node
from command import kubectl
from install import NAMESPACE, rolled_out
from load import Load
from wait import NotYet, until


def test_a_rolling_restart_of_the_proxies_under_load_fails_no_request(team, relay, providers):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    old = {proxy.name for proxy in relay.proxies()}
    load = Load(relay.url, team.key, rate=20, streams=20)
    load.start()
    try:
        until("the load to run", lambda: _at_least(load, short=40, stream=5), within=30)
        kubectl("rollout", "restart", "deployment/stream-relay-proxy", "-n", NAMESPACE)
        rolled_out(NAMESPACE, "stream-relay-proxy")
        until("the old proxies to be gone", lambda: _gone(old), within=60, every=0.5)
        after = dict(load.done)
        until("the load to go on", lambda: _at_least(load, short=after["short"] + 20, stream=after["stream"] + 5), within=30)
    finally:
        load.stop()
    assert not load.failures, f"{len(load.failures)} failed of {load.done}:\n" + "\n".join(load.failures[:20])
    assert {proxy.name for proxy in relay.proxies()}.isdisjoint(old)
    assert load.done["short"] > 200 and load.done["stream"] > 40, load.done


def _at_least(load, short, stream):
    if load.done["short"] < short or load.done["stream"] < stream:
        raise NotYet(f"{load.done}, {load.failures[:3]}")


def _gone(names):
    """Draining pods are there until their last stream has ended."""
    left = names & {name.removeprefix("pod/") for name in kubectl("get", "pods", "-n", NAMESPACE, "-o", "name").stdout.split()}
    if left:
        raise NotYet(f"{sorted(left)}")


def test_a_restart_of_the_operators_changes_nothing_that_is_served(team, relay, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    revisions = {response.headers["x-relay-revision"] for response in everyone.ask(team.key)}
    kubectl("rollout", "restart", "deployment/stream-relay-operator", "-n", NAMESPACE)
    rolled_out(NAMESPACE, "stream-relay-operator")
    team.route(providers[1].url, "another", path={"prefix": "/v1/another"})
    team.ready(within=40)
    team.kube.delete("RelayRoute", team.name, "another")

    def probe():
        now = {response.headers["x-relay-revision"] for response in everyone.ask(team.key)}
        if now != revisions:
            raise NotYet(f"{now}, before the restart {revisions}")

    until("the new operator to make the same revision of the same objects", probe, within=20)


def _leader():
    return kubectl("get", "lease", "relay-operator", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}").stdout


@pytest.mark.node
def test_the_standby_takes_over_from_a_leader_that_hangs_and_the_old_one_does_not_interfere(team, relay, providers, everyone):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    old = _leader()
    (pod,) = [pod for pod in relay.pods("operator") if pod["metadata"]["name"] == old]
    with node.hanging(pod["metadata"]["uid"], "/relay-operator"):
        team.route(providers[1].url)
        team.ready(within=40)  # the lease lasts 15 s
        new = _leader()
        assert new != old
        assert everyone.identities(team.key) == [providers[1].name] * 3
    for provider in (*providers, *providers):
        team.route(provider.url)
        team.ready()
        assert everyone.identities(team.key) == [provider.name] * 3
    assert _leader() == new
