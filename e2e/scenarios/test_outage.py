"""Everything that the proxies depend on goes away at once: they serve on, and all of it heals."""

import pytest

import node
from command import kubectl
from install import DEMO, NAMESPACE, rolled_out
from provider import script
from relay import Everyone, answered, ask, content
from streams import Chat, Speech
from team import Team
from wait import NotYet, until

pytestmark = pytest.mark.node
DEMO_KEY = "relay-demo-tenant-key-not-a-secret"
DEPLOYMENTS = {"stream-relay-operator": 2, "stream-relay-redis": 1}


class Outage:
    """No operator, no Redis, no API server; and streams that began before."""

    def __init__(self, relay, team):
        self.relay, self.team, self.over = relay, team, False
        self.proxies = relay.proxies()
        self.streams = []

    def begin(self):
        """Starts streams and takes everything away."""
        self.streams = [Chat(proxy.url, self.team.key, 400, 50) for proxy in self.proxies]
        self.streams += [Speech(proxy.url, self.team.key, 400, 50) for proxy in self.proxies]
        for stream in self.streams:
            stream.begun()
        node.kill(self.relay.pods("redis")[0]["metadata"]["uid"], "redis-server")
        for name in DEPLOYMENTS:
            kubectl("scale", f"deployment/{name}", "--replicas=0", "-n", NAMESPACE)
        until("operators and Redis to be gone", self._none_left, within=40, every=0.2)
        node.kill_api_server()
        return self

    def _none_left(self):
        """Counts pods that are on their way out, too."""
        selector = "app.kubernetes.io/component in (operator, redis)"
        left = kubectl("get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "name").stdout.split()
        if left:
            raise NotYet(f"{left}")

    def end(self):
        """Brings everything back. Fine to repeat."""
        if self.over:
            return
        node.start_api_server()
        for name, count in DEPLOYMENTS.items():
            kubectl("scale", f"deployment/{name}", f"--replicas={count}", "-n", NAMESPACE)
        for name in DEPLOYMENTS:
            rolled_out(NAMESPACE, name, within=150)  # the controllers look for the API server at ever longer intervals, up to a minute
        self.over = True


def _team(kube, name, url, requests=None):
    made = Team(kube, name)
    made.tenant(requests)
    made.route(url)
    return made.ready()


@pytest.fixture(scope="module")
def scarce(kube, relay, team_names, providers):
    """A team whose limit divides by three: 9 requests an hour."""
    made = _team(kube, next(team_names), providers[0].url, {"amount": 9, "per": "Hour"})
    yield made
    made.remove()


@pytest.fixture(scope="module")
def outage(kube, relay, quickstart, providers, team_names, scarce):
    """The outage; over when the tests that ask for it are done."""
    team = _team(kube, next(team_names), providers[0].url)
    made = Outage(relay, team)
    try:
        yield made.begin()
    finally:
        made.end()
        team.remove()


@pytest.fixture(scope="module")
def healed(outage):
    """The outage, over."""
    outage.end()
    return outage


def test_streams_that_ran_before_the_outage_end_well_and_unchanged(outage, providers):
    assert all(stream.running() for stream in outage.streams), "they ended before everything was gone"
    for stream in outage.streams:
        stream.verify(providers[0], within=45)


def test_new_requests_and_streams_are_served_by_every_proxy_and_through_the_service(outage, providers):
    urls = [outage.relay.url, *[proxy.url for proxy in outage.proxies]]
    assert [content(ask(url, outage.team.key)) for url in urls] == [script(3)] * 4
    for stream in [Chat(url, outage.team.key, 40, 25) for url in urls]:
        stream.verify(providers[0])


def test_without_redis_each_proxy_enforces_its_third_of_the_limit(outage, scarce):
    for proxy in outage.proxies:
        answers = [ask(proxy.url, scarce.key) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
        assert proxy.metric("relay_limit_decisions_total", tenant=f"{scarce.name}/team", mode="local") == 5


def test_a_killed_proxy_comes_back_without_the_api_server_and_serves_from_its_mount(outage):
    victim = outage.proxies[0]
    before = answered(ask(victim.url, DEMO_KEY)).headers["x-relay-revision"]
    old = node.kill(victim.uid, "/relay-dataplane")

    def probe():
        response = ask(victim.url, DEMO_KEY)
        if response.status_code != 200:
            raise NotYet(f"{response.status_code} {response.text}")
        return response

    response = until("the killed proxy to serve again", probe, within=40)
    assert content(response) == script(3)
    assert node.process(victim.uid, "/relay-dataplane") != old
    # The mount is renewed a minute after a change: the same configuration or an older one, but a whole one.
    assert len(response.headers["x-relay-revision"]) == len(before) == 12


def test_all_is_ready_again_when_everything_is_back(healed):
    healed.relay.proxies()
    wait = ("wait", "--for=condition=Ready", "relayroute,relaytenant", "--all", "-n", DEMO, "--timeout=90s")
    kubectl(*wait, within=100)
    healed.team.ready(within=60)


# After an outage the cluster itself may take its node for lost, until the node controller hears of it again. Then Services lead nowhere,
# and a good relay answers 502 for a moment: so these two wait for the right answers, and count what the limit let through.


def test_changes_reach_every_proxy_again(healed, providers):
    healed.team.route(providers[1].url)
    healed.team.ready(within=60)
    everyone = Everyone(healed.relay.proxies())

    def probe():
        seen = [response.headers.get("x-fake-identity", response.text) for response in everyone.ask(healed.team.key)]
        if seen != [providers[1].name] * 3:
            raise NotYet(f"{seen}")

    until("every proxy to be served by the new backend", probe, within=60)
    everyone.close()


def test_limits_are_shared_again(healed, kube, team_names, providers):
    proxies = healed.relay.proxies()

    def probe():
        modes = {proxy.name: _mode(proxy, healed.team.key, f"{healed.team.name}/team") for proxy in proxies}
        if set(modes.values()) != {"shared"}:
            raise NotYet(f"{modes}")

    healed.team.tenant({"amount": 9000, "per": "Hour"})
    healed.team.ready()
    until("every proxy to decide by Redis", probe, within=30)
    fresh = _team(kube, next(team_names), providers[0].url, {"amount": 9, "per": "Hour"})
    try:
        statuses = [ask(proxy.url, fresh.key).status_code for _ in range(5) for proxy in proxies]
        assert statuses.count(429) == 6, statuses
    finally:
        fresh.remove()


def _mode(proxy, key, tenant):
    """By what the proxy decides on a request now."""
    def count():
        return {mode: proxy.metric("relay_limit_decisions_total", tenant=tenant, mode=mode) for mode in ("shared", "local")}

    before = count()
    ask(proxy.url, key)
    return next((mode for mode, now in count().items() if now > before[mode]), "undecided")
