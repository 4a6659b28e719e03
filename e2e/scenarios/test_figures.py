"""How fast a change is everywhere. Measured and told, not judged: the machine has other work."""

import asyncio
import time

import httpx

import figures
import manifests

CHANGES = 100


async def _revision(client, after):
    """The proxy's revision once it is another one than `after`."""
    answer = await client.get("/revision", params={"after": after, "wait": "20s"})
    return answer.raise_for_status().json()["revision"]


async def _measure(kube, team, url, proxies):
    """Seconds from sending each change until the API server took it, and until the last proxy served it."""
    api = httpx.AsyncClient(base_url=kube.http.base_url, verify=kube.tls, headers=kube.http.headers, trust_env=False)
    clients = [httpx.AsyncClient(base_url=proxy.admin, timeout=30, trust_env=False) for proxy in proxies]
    taken, served = [], []
    async with api:
        after = [await _revision(client, "none") for client in clients]
        for number in range(CHANGES):
            manifest = manifests.route(team.name, "chat", url, timeouts={"idle": f"{number + 30}s"})
            polls = [asyncio.create_task(_revision(client, old)) for client, old in zip(clients, after, strict=True)]
            await asyncio.sleep(0)  # the polls are on their way
            begun = time.perf_counter()
            query = {"fieldManager": "scenarios", "force": "true"}
            kind = {"content-type": "application/apply-patch+yaml"}
            path = kube.path("RelayRoute", team.name, "chat")
            (await api.patch(path, params=query, headers=kind, json=manifest)).raise_for_status()
            taken.append(time.perf_counter() - begun)
            now = await asyncio.gather(*polls)
            served.append(time.perf_counter() - begun)
            assert all(new != old for new, old in zip(now, after, strict=True)), f"change {number} did not arrive within 20 s"
            after = now
            # One change at a time: the next one when the operator is done with this one.
            await asyncio.to_thread(kube.until_condition, "RelayRoute", team.name, "chat", "Ready", within=20)
    for client in clients:
        await client.aclose()
    return taken, served


def test_a_hundred_applied_routes_reach_every_proxy(team, kube, relay, providers):
    team.tenant()
    team.route(providers[0].url)
    team.ready()
    taken, served = asyncio.run(_measure(kube, team, providers[0].url, relay.proxies()))
    figures.say("server-side apply of a route -> answered", figures.spread(taken))
    figures.say("server-side apply of a route -> all 3 proxies serve it", figures.spread(served))

