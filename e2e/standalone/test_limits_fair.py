"""A tenant that floods and is refused does not slow another down."""

import asyncio

import fleet
import redises
import tables
from crowd import Steady, percentile

PROXIES = 2
QUIET, FLOOD = 50, 1_000
SECONDS = 6.0
# A machine that runs client, proxies, provider and Redis on the same cores shows its own noise: a neighbour that is starved would be far beyond this.
STARVED = 20.0


async def load(relays, floods: bool) -> tuple[Steady, Steady | None]:
    """What the quiet tenant sees for a while, beside a flood or not."""
    ports = [relay.port for relay in relays]
    loads = [Steady(ports, fleet.cheap("quiet"), QUIET)] + ([Steady(ports, fleet.cheap("flood"), FLOOD)] if floods else [])
    running = [asyncio.create_task(one.run()) for one in loads]
    await asyncio.sleep(SECONDS)
    for one in loads:
        one.stopping = True
    await asyncio.gather(*running)
    return loads[0], loads[1] if floods else None


def took(load: Steady) -> list[float]:
    """Milliseconds, without the first ones: connections are opened then."""
    return [answer.took * 1000 for answer in load.answers[QUIET:]]


def test_a_flood_that_is_refused_does_not_slow_a_neighbour(undisturbed, programs, provider, tmp_path):
    tenants = fleet.tenant("quiet", "requests: {amount: 100000, per: Second}"), fleet.tenant("flood", "requests: {amount: 1, per: Hour, burst: 1}")
    manifests = fleet.write(tmp_path / "manifests", fleet.route(provider.ports["listen"]), *tenants)
    with redises.single(tmp_path) as redis:
        options = ["--redis-url", redis.url()]
        with fleet.fleet(programs / "relay-dataplane", tmp_path, manifests, PROXIES, *options) as relays:
            fleet.until_shared(relays)
            asyncio.run(load(relays, floods=True))
            without, _ = asyncio.run(load(relays, floods=False))
            beside, flood = asyncio.run(load(relays, floods=True))
    for one in (without, beside, flood):
        assert not one.failed, one.failed[:5]
    assert {answer.status for answer in without.answers + beside.answers} == {200}
    assert {answer.status for answer in flood.answers} == {429}
    p50, p99 = ([percentile(took(one), percent) for one in (without, beside)] for percent in (50, 99))
    tables.add(
        f"a tenant that is refused {FLOOD} times a second beside one that asks {QUIET} times a second, {PROXIES} proxies",
        refused=len(flood.answers),
        **{
            "p50 alone, ms": f"{p50[0]:.2f}",
            "p50 beside, ms": f"{p50[1]:.2f}",
            "p99 alone, ms": f"{p99[0]:.2f}",
            "p99 beside, ms": f"{p99[1]:.2f}",
            "p99 ratio": f"{p99[1] / p99[0]:.2f}",
            "flood sent late by at most, ms": f"{flood.late * 1000:.0f}",
        },
    )
    assert p50[1] < p50[0] * STARVED, (p50, p99)
