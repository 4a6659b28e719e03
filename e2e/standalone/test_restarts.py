"""Rolling restarts behind a small balancer that looks at readiness, as a Service does."""

import asyncio
import contextlib
import subprocess

import httpx
import pytest
import wire
from conftest import free_port, until

RESTARTS = 200
CLIENTS = 24


class Proxy:
    """One of the proxies, restarted in its place."""

    def __init__(self, program, manifests, log):
        self.program, self.manifests, self.log = program, manifests, log
        self.listen, self.admin = free_port(), free_port()
        self.ready = False
        self.start()

    def start(self):
        command = [self.program, "--manifests", self.manifests, "--listen", f"127.0.0.1:{self.listen}"]
        command += ["--admin", f"127.0.0.1:{self.admin}", "--lame-duck", "300ms", "--drain-timeout", "30s"]
        command += ["--allow-cidr", "127.0.0.0/8", "--log-level", "info,relay::request=off"]
        with self.log.open("a") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    async def probe(self):
        """Looks at readiness again and again, as the kubelet does, but faster."""
        async with httpx.AsyncClient(timeout=2) as client:
            while True:
                try:
                    self.ready = (await client.get(f"http://127.0.0.1:{self.admin}/readyz")).status_code == 200
                except httpx.HTTPError:
                    self.ready = False
                await asyncio.sleep(0.02)


class Balancer:
    """Gives each connection to a ready proxy, in turn, and copies bytes both ways."""

    def __init__(self, proxies):
        self.proxies, self.turn = proxies, 0

    async def serve(self, client_reader, client_writer):
        ready = [proxy for proxy in self.proxies if proxy.ready]
        self.turn += 1
        proxy = ready[self.turn % len(ready)]
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.listen)
        await asyncio.gather(copy(client_reader, writer), copy(reader, client_writer))


async def copy(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


class Clients:
    """Ask all the time: streams on new connections, and short requests on kept ones until the relay says close."""

    def __init__(self, port):
        self.port = port
        self.whole, self.failed = 0, []
        self.stopping = False

    async def streams(self):
        while not self.stopping:
            await self.once(wire.ask(self.port, wire.chat("fake-tokens-12-gap-40ms", "connection: close")))

    async def short(self):
        while not self.stopping:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            keep = True
            while keep and not self.stopping:
                writer.write(wire.chat("fake-tokens-2"))
                headers = await self.once(wire.answer(reader))
                keep = headers is not None and headers.get("connection") != "close"
                # A pause that is short beside the time between "close" and the end of the listener: a kept connection is idle now and then.
                await asyncio.sleep(0.01)
            writer.close()

    async def once(self, call):
        try:
            status, headers, body = await call
            if status == 200 and body.endswith(b"data: [DONE]\n\n"):
                self.whole += 1
                return headers
            self.failed.append(f"{status} {body[-120:]!r}")
        except (OSError, EOFError, TimeoutError) as error:
            self.failed.append(repr(error))
        return None


@pytest.fixture
def fleet(programs, provider, tmp_path):
    folder = wire.write_manifests(tmp_path / "load", provider.ports["listen"])
    proxies = [Proxy(programs / "relay-dataplane", folder, tmp_path / f"proxy-{number}.log") for number in range(3)]
    yield proxies
    for proxy in proxies:
        proxy.process.kill()
        proxy.process.wait()


async def restart(proxy):
    """As a rolling update: SIGTERM, the end, a new one in its place, ready."""
    proxy.process.terminate()
    code = await asyncio.to_thread(proxy.process.wait, 60)
    assert code == 0, proxy.log.read_text()[-2000:]
    proxy.start()
    async with asyncio.timeout(30):
        while not proxy.ready:
            await asyncio.sleep(0.01)


def test_200_rolling_restarts_of_one_of_three_fail_no_request(fleet):
    async def scenario():
        probes = [asyncio.create_task(proxy.probe()) for proxy in fleet]
        async with asyncio.timeout(30):
            while not all(proxy.ready for proxy in fleet):
                await asyncio.sleep(0.01)
        server = await asyncio.start_server(Balancer(fleet).serve, "127.0.0.1", 0)
        clients = Clients(server.sockets[0].getsockname()[1])
        running = [asyncio.create_task(clients.streams() if n % 2 else clients.short()) for n in range(CLIENTS)]
        for number in range(RESTARTS):
            await restart(fleet[number % len(fleet)])
            assert not clients.failed, f"restart {number}: {clients.failed[:5]}"
        clients.stopping = True
        await asyncio.gather(*running)
        for probe in probes:
            probe.cancel()
        server.close()
        return clients

    clients = asyncio.run(scenario())
    print(f"{RESTARTS} restarts, {clients.whole} whole answers, {len(clients.failed)} failed")
    assert not clients.failed and clients.whole > RESTARTS


def test_a_second_signal_ends_at_once(fleet):
    proxy = fleet[0]
    until(lambda: httpx_ready(proxy), "a ready proxy")

    async def scenario():
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.listen)
        writer.write(wire.chat("fake-tokens-1000-gap-1s"))
        await reader.readuntil(b"data:")
        proxy.process.terminate()
        while (await asyncio.to_thread(httpx_ready, proxy)):
            await asyncio.sleep(0.01)
        proxy.process.terminate()
        assert await asyncio.to_thread(proxy.process.wait, 10) == 0
        writer.close()

    asyncio.run(scenario())


def httpx_ready(proxy) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{proxy.admin}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
