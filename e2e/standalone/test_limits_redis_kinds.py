"""Limits are shared by proxies over every kind of Redis: alone, by users, TLS, sentinels and cluster, of every version from 6.2 to 8, and Valkey."""

import asyncio
import contextlib
import json

import fleet
import pytest
import redises
from conftest import until
from crowd import Lane
from resp import Refused

# What a tenant may: so little comes back that the count is one number.
BURST = 40
ASKED = 60
TENANTS = [f"tenant-{number}" for number in range(4)]
LIMITS = f"requests: {{amount: 1, per: Day, burst: {BURST}}}, tokens: {{amount: 1000000, per: Hour}}, characters: {{amount: 1000000, per: Hour}}"
# So many streams at once: of a tenant where they decide, and of all others. A slot is free again a moment after the answer.
STREAMER, FEW, MANY = "streamer", 3, 1000
BUDGETS = "  budgets: [{name: month, unit: Tokens, amount: 1000000000, per: Month, timeZone: UTC, atLimit: RefuseNew}]\n"
VERSIONS = ["redis-6.2.5", "redis-7.4.1", "redis-8.2.3", "valkey-8.1.8", "valkey-9.1.2"]


def stream(tenant: str, model: str) -> bytes:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    return fleet.request(tenant, "POST", "/v1/chat/completions", json.dumps(body).encode())


class Two:
    """Two relays with all kinds of limits in one Redis."""

    def __init__(self, relays):
        self.relays = relays

    def ask(self, tenant: str, count: int = ASKED) -> list:
        """Short requests, in turn to one relay and the other, two at a time."""

        async def client(todo, answers):
            lanes = [await Lane.open(relay.port) for relay in self.relays]
            while todo:
                answers.append(await lanes[todo.pop() % 2].ask(fleet.cheap(tenant)))
            for lane in lanes:
                lane.close()

        async def all_of_them():
            todo, answers = list(range(count)), []
            async with asyncio.timeout(60):
                await asyncio.gather(*(client(todo, answers) for _ in range(2)))
            return answers

        return asyncio.run(all_of_them())

    def admits(self, tenant: str) -> int:
        """How many of more than the burst pass; all decided together."""
        answers = self.ask(tenant)
        assert {answer.status for answer in answers} <= {200, 429}
        assert {answer.header("x-relay-limits-mode") for answer in answers} == {"shared"}, self.relays[0].output()[-2000:]
        return sum(answer.status == 200 for answer in answers)

    def shares_streams(self, tenant: str = STREAMER):
        """Three streams (`FEW`) over both, a fourth is refused by either, and passes when one has ended."""

        async def scenario():
            open_ones = [await Lane.open(self.relays[number % 2].port) for number in range(FEW)]
            running = [lane.ask(stream(tenant, "fake-tokens-1000-gap-100ms")) for lane in open_ones]
            async with asyncio.timeout(60):
                while not all(lane.head for lane in open_ones):
                    await asyncio.sleep(0.01)
                assert all(lane.head.startswith(b"HTTP/1.1 200") for lane in open_ones), [lane.head for lane in open_ones]
                for relay in self.relays:
                    lane = await Lane.open(relay.port)
                    answer = await lane.ask(fleet.cheap(tenant))
                    assert (answer.status, answer.header("x-relay-error")) == (429, "streams_limited"), answer
                    lane.close()
                open_ones[0].close()
                lane = await Lane.open(self.relays[1].port)
                while (await lane.ask(fleet.cheap(tenant))).status != 200:
                    await asyncio.sleep(0.01)
            for lane in (lane, *open_ones):
                lane.close()
            for answer in running:
                answer.cancel()
                with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                    await answer

        asyncio.run(scenario())


@pytest.fixture
def two(undisturbed, programs, provider, tmp_path):
    """Starts two relays with these options; waits until they share."""
    with contextlib.ExitStack() as kept:

        def start(*options, shared=True) -> Two:
            tenants = [fleet.tenant(name, f"{LIMITS}, streams: {{max: {MANY}}}", BUDGETS) for name in TENANTS]
            tenants.append(fleet.tenant(STREAMER, f"{LIMITS}, streams: {{max: {FEW}}}", BUDGETS))
            manifests = fleet.write(tmp_path / "manifests", fleet.route(provider.ports["listen"]), *tenants)
            relays = kept.enter_context(fleet.fleet(programs / "relay-dataplane", tmp_path, manifests, 2, *options))
            if shared:
                fleet.until_shared(relays)
            return Two(relays)

        yield start


def test_one_redis(two, tmp_path):
    with redises.single(tmp_path) as redis:
        relays = two("--redis-url", redis.url())
        assert relays.admits(TENANTS[0]) == BURST
        relays.shares_streams()


def test_another_database_of_it(two, tmp_path):
    with redises.single(tmp_path) as redis:
        assert two("--redis-url", f"{redis.url()}/3").admits(TENANTS[0]) == BURST
        with redis.connect() as connection:
            assert connection.call("KEYS", "relay:*") == []
            connection.call("SELECT", 3)
            assert f"relay:{{{fleet.NAMESPACE}/{TENANTS[0]}}}:state" in connection.call("KEYS", "*")


def test_a_unix_socket(two, tmp_path):
    socket = tmp_path / "s"
    with redises.single(tmp_path, "--unixsocket", socket):
        assert two("--redis-url", f"redis+unix://{socket}").admits(TENANTS[0]) == BURST


@pytest.mark.parametrize("by_flags", [False, True], ids=["in the URL", "by flags"])
def test_a_user_with_few_rights(two, tmp_path, by_flags):
    with redises.with_user(tmp_path) as redis:
        user, password = redis.given
        flags = ["--redis-url", f"redis://127.0.0.1:{redis.port}", "--redis-username", user, "--redis-password", password]
        relays = two(*flags) if by_flags else two("--redis-url", f"redis://{user}:{password}@127.0.0.1:{redis.port}")
        assert relays.admits(TENANTS[0]) == BURST
        denied = [entry for entry in redis.call("ACL", "LOG")]
        assert not denied, denied
        assert all(password not in relay.output() for relay in relays.relays)


def test_tls_by_a_ca_of_its_own(two, tmp_path):
    with redises.with_tls(tmp_path) as redis:
        assert two("--redis-url", redis.url(), "--redis-ca", redis.ca).admits(TENANTS[0]) == BURST


def test_tls_by_a_ca_that_nobody_named_is_not_trusted(two, tmp_path):
    with redises.with_tls(tmp_path) as redis:
        relays = two("--redis-url", redis.url(), shared=False)
        modes = {answer.header("x-relay-limits-mode") for answer in relays.ask(TENANTS[0], 10)}
        assert modes == {"local"}
        assert redis.call("KEYS", "relay:*") == []


@pytest.mark.parametrize("kill", [False, True], ids=["asked for", "by the master's death"])
def test_sentinels_and_a_failover(two, tmp_path, kill):
    with redises.watched(tmp_path) as watched:
        relays = two("--redis-url", watched.url())
        assert relays.admits(TENANTS[0]) == BURST
        old = watched.master()
        until(lambda: caught_up(old), "a replica that has all")
        new = watched.fail_over(kill)

        def is_shared_there():
            # The old master takes writes until a sentinel has told it that it is one no more.
            return mode_of(relays, TENANTS[1]) == {"shared"} and new.call("EXISTS", f"relay:{{{fleet.NAMESPACE}/{TENANTS[1]}}}:state")

        until(is_shared_there, "limits that are shared by the new master", 30, last=relays.relays[0].output)
        assert relays.admits(TENANTS[0]) == 0, "what was used is known to the new master"
        assert relays.admits(TENANTS[2]) == BURST


def test_sentinels_of_which_the_first_is_dead(two, tmp_path):
    with redises.watched(tmp_path) as watched:
        watched.sentinels[0].kill()
        assert two("--redis-url", watched.url()).admits(TENANTS[0]) == BURST


def test_a_cluster_of_which_one_node_is_named(two, tmp_path):
    with redises.cluster(tmp_path) as cluster:
        relays = two("--redis-url", cluster.url(cluster.masters[:1]))
        for tenant in TENANTS:
            assert relays.admits(tenant) == BURST
        for tenant in TENANTS:
            state = f"relay:{{{fleet.NAMESPACE}/{tenant}}}:state"
            assert cluster.owner(state).call("EXISTS", state) == 1


def test_a_slot_that_moves_takes_the_limit_along(two, tmp_path):
    with redises.cluster(tmp_path) as cluster:
        relays = two("--redis-url", cluster.url())
        assert relays.admits(TENANTS[0]) == BURST
        new = cluster.move(f"relay:{{{fleet.NAMESPACE}/{TENANTS[0]}}}:state")
        until(lambda: mode_of(relays, TENANTS[0]) == {"shared"}, "limits that are shared again", 30, last=relays.relays[0].output)
        assert relays.admits(TENANTS[0]) == 0
        assert new.call("EXISTS", f"relay:{{{fleet.NAMESPACE}/{TENANTS[0]}}}:state") == 1


def test_a_node_of_a_cluster_that_dies_is_followed_by_its_replica(two, tmp_path):
    with redises.cluster(tmp_path, replicas=True) as cluster:
        relays = two("--redis-url", cluster.url())
        state = f"relay:{{{fleet.NAMESPACE}/{TENANTS[0]}}}:state"
        assert relays.admits(TENANTS[0]) == BURST
        old = cluster.owner(state)
        until(lambda: caught_up(old), "a replica that has all")
        cluster.fail_over(state)
        until(lambda: mode_of(relays, TENANTS[0]) == {"shared"}, "limits that are shared again", 30, last=relays.relays[0].output)
        assert relays.admits(TENANTS[0]) == 0
        # Wherever the others live.
        for tenant in TENANTS[1:]:
            assert relays.admits(tenant) == BURST


@pytest.mark.parametrize("name", VERSIONS)
def test_other_versions(two, tmp_path, name):
    programs = redises.versions()
    assert name in programs, f"no package holds {name} for this processor: see e2e/redis-servers/fetch"
    with redises.single(tmp_path, program=programs[name]) as redis:
        relays = two("--redis-url", redis.url())
        assert relays.admits(TENANTS[0]) == BURST
        relays.shares_streams()
        with contextlib.suppress(Refused):
            redis.call("SCRIPT", "FLUSH")
        assert relays.admits(TENANTS[2]) == BURST


def mode_of(relays, tenant) -> set:
    return {answer.header("x-relay-limits-mode") for answer in relays.ask(tenant, 4)}


def caught_up(master) -> bool:
    """Its replica has taken all that it wrote."""
    told = dict(pair.split("=") for pair in master.info("slave0").split(","))
    return told["offset"] == master.info("master_repl_offset")
