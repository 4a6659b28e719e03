"""Thousands of streams while the configuration changes, and memory after thousands of clients that left."""

import asyncio
import contextlib
import hashlib
import pathlib
import re

import httpx
import pytest
import wire
from conftest import until

STREAMS = 2_000
RELOADS = 500
DROPS = 10_000
AT_ONCE = 200
# Freed pages that the allocator keeps, and the table of connections that it grew to.
SLACK_KIB = 8 * 1024


@pytest.fixture
def loaded(start, provider, tmp_path):
    folder = wire.write_manifests(tmp_path / "load", provider.ports["listen"])
    relay = start(folder, "--allow-cidr", "127.0.0.0/8", "--log-level", "warn,relay::request=off")
    return relay, folder


def port_of(relay) -> int:
    return int(relay.url.rsplit(":", 1)[1])


def metric(relay, name: str, **labels) -> float:
    """The sum of a metric's samples that have these labels."""
    total = 0.0
    for line in httpx.get(f"{relay.admin}/metrics").text.splitlines():
        found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if found and all(f'{label}="{value}"' in (found[1] or "") for label, value in labels.items()):
            total += float(found[2])
    return total


class Streams:
    """So many streams at any time until it is told to stop; each is compared with what the provider sends without a relay."""

    def __init__(self, port: int, provider_port: int):
        self.port, self.provider_port = port, provider_port
        self.kinds = [
            (wire.chat("fake-tokens-24-gap-500ms", "connection: close"), wire.digest_of_events),
            (wire.speech("fake-bytes-96000-chunk-4000-gap-500ms", "connection: close"), lambda body: hashlib.sha256(body).hexdigest()),
        ]
        self.whole, self.wrong, self.open = 0, [], 0
        self.stopping = asyncio.Event()

    async def expected(self):
        answers = await asyncio.gather(*(wire.ask(self.provider_port, text) for text, _ in self.kinds))
        return [digest(body) for (_, digest), (_, _, body) in zip(self.kinds, answers)]

    async def run(self, number: int, expected: list[str]):
        text, digest = self.kinds[number % 2]
        # Spread over the first second: a burst of connects would measure the listen queue.
        await asyncio.sleep(number / STREAMS)
        while not self.stopping.is_set():
            self.open += 1
            try:
                status, _, body = await wire.ask(self.port, text)
                if status == 200 and digest(body) == expected[number % 2]:
                    self.whole += 1
                else:
                    self.wrong.append(f"{status} {body[-100:]!r}")
            except (OSError, EOFError, TimeoutError, wire.Broken) as error:
                self.wrong.append(repr(error))
            finally:
                self.open -= 1


def change(folder: pathlib.Path, number: int):
    """One of: another route, a changed one, one less, another tenant's key, another credential of a route."""
    path = folder / f"other-{number % 7}.yaml"
    if number % 3 == 2 and path.exists():
        path.unlink()
        return
    text = f"""
apiVersion: v1
kind: Secret
metadata: {{name: key-{number % 7}, namespace: load}}
stringData: {{key: credential-{number}}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: other-{number % 7}, namespace: load}}
spec:
  matches: [{{path: {{exact: /v1/other/{number}}}}}]
  backends: [{{name: b, provider: OpenAI, credential: {{secretRef: {{name: key-{number % 7}, key: key}}}}}}]
"""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)


async def reload(relay, folder, streams):
    async with httpx.AsyncClient(base_url=relay.admin, timeout=30) as admin:
        for number in range(RELOADS):
            before = (await admin.get("/revision")).json()["revision"]
            change(folder, number)
            after = (await admin.get("/revision", params={"after": before, "wait": "20s"})).json()["revision"]
            assert after != before, f"change {number} was not taken: {relay.output()[-2000:]}"
            assert streams.open > STREAMS * 9 // 10, f"only {streams.open} streams run"


async def wait_for(condition, what):
    async with asyncio.timeout(wire.PATIENCE):
        while not condition():
            await asyncio.sleep(0.05)


def test_500_reloads_cut_none_of_2000_streams(loaded, provider):
    relay, folder = loaded

    async def scenario():
        streams = Streams(port_of(relay), provider.ports["listen"])
        expected = await streams.expected()
        running = [asyncio.create_task(streams.run(number, expected)) for number in range(STREAMS)]
        await wait_for(lambda: streams.open >= STREAMS, "all streams")
        try:
            await reload(relay, folder, streams)
        finally:
            streams.stopping.set()
            await asyncio.gather(*running)
        return streams

    streams = asyncio.run(scenario())
    print(f"{RELOADS} reloads, {streams.whole} whole streams, {len(streams.wrong)} not")
    assert not streams.wrong, streams.wrong[:5]
    assert streams.whole >= STREAMS
    assert metric(relay, "relay_config_reloads_total") >= RELOADS


def memory_kib(relay) -> int:
    """Memory of its own: not the pages of its file."""
    status = pathlib.Path(f"/proc/{relay.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])


async def come_and_go(port: int, count: int):
    """Clients that begin a stream, see its first event and leave."""
    places = asyncio.Semaphore(AT_ONCE)

    async def client():
        async with places:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer):
                writer.write(wire.chat("fake-tokens-1000-gap-1s"))
                assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), wire.PATIENCE)).startswith(b"HTTP/1.1 200")
                assert b"data:" in await asyncio.wait_for(reader.read(4096), wire.PATIENCE)

    await asyncio.gather(*(client() for _ in range(count)))


def test_memory_is_back_at_its_baseline_after_10000_clients_that_left(loaded):
    relay, _ = loaded
    idle = lambda: metric(relay, "relay_active_connections") == 0  # noqa: E731
    asyncio.run(come_and_go(port_of(relay), 1_000))
    until(idle, "no connection after the first 1,000")
    before = memory_kib(relay)
    asyncio.run(come_and_go(port_of(relay), DROPS))
    until(idle, "no connection after all")
    after = memory_kib(relay)
    print(f"anonymous memory: {before} KiB after 1,000 clients, {after} KiB after {DROPS} more")
    assert after <= before + SLACK_KIB
    gone = metric(relay, "relay_requests_total", end="ClientGone")
    assert gone == DROPS + 1_000
