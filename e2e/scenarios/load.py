"""Steady load in the background, every request of it checked: a rate of short requests, and streams that follow one another."""

import asyncio
import threading
import time

import httpx

from provider import script
from relay import chat_body, events_text

PATIENCE = httpx.Timeout(10, read=30)


class Load(threading.Thread):
    """Runs from `start` to `stop`; then `failures` says what went wrong and `done` how often it went well.

    Half of the short requests come on connections of their own, half on kept ones; nothing is ever tried twice."""

    def __init__(self, url, key, rate, streams, stream_tokens=120, gap=50):
        super().__init__(daemon=True)
        self.url, self.rate, self.streams, self.stream_tokens, self.gap = url, rate, streams, stream_tokens, gap
        self.headers = {"authorization": f"Bearer {key}"}
        self.ending = threading.Event()
        self.failures, self.done = [], {"short": 0, "stream": 0}
        self.started = time.monotonic()

    def run(self):
        """The load itself."""
        asyncio.run(self._all())

    def stop(self, within=60):
        """No more new ones; waits for those that run."""
        self.ending.set()
        self.join(within)
        assert not self.is_alive(), f"the load did not end within {within} s: {self.done}"

    async def _all(self):
        kept = httpx.AsyncClient(timeout=PATIENCE, trust_env=False)
        fresh = httpx.AsyncClient(timeout=PATIENCE, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        async with kept, fresh:
            await asyncio.gather(self._short(kept, fresh), *[self._stream(fresh, n) for n in range(self.streams)])

    async def _short(self, kept, fresh):
        running, begun, count = set(), time.monotonic(), 0
        while not self.ending.is_set():
            task = asyncio.create_task(self._checked("short", self._ask(kept if count % 2 else fresh)))
            running.add(task)
            task.add_done_callback(running.discard)
            count += 1
            await asyncio.sleep(max(0.0, begun + count / self.rate - time.monotonic()))
        await asyncio.gather(*running)

    async def _stream(self, client, number):
        # Spread over one stream's duration, so that at any moment some begin and some end.
        await asyncio.sleep(number / self.streams * self.stream_tokens * self.gap / 1000)
        while not self.ending.is_set():
            await self._checked("stream", self._read(client))

    async def _ask(self, client):
        response = await client.post(self.url + "/v1/chat/completions", headers=self.headers, json=chat_body("fake-tokens-3"))
        if response.status_code != 200:
            return f"{response.status_code} {dict(response.headers)} {response.text}"
        text = response.json()["choices"][0]["message"]["content"]
        return None if text == script(3) else f"another text: {text!r}"

    async def _read(self, client):
        body = chat_body(f"fake-tokens-{self.stream_tokens}-gap-{self.gap}ms", stream=True)
        async with client.stream("POST", self.url + "/v1/chat/completions", headers=self.headers, json=body) as response:
            events = await response.aread()
        if response.status_code != 200:
            return f"{response.status_code} {dict(response.headers)} {events!r}"
        return None if events_text(events) == script(self.stream_tokens) else f"another text: {events[-300:]!r}"

    async def _checked(self, what, request):
        begun = time.monotonic()
        try:
            failure = await request
        except Exception as error:  # whatever it was, the request did not succeed
            failure = f"{type(error).__name__}: {error}"
        if failure is None:
            self.done[what] += 1
        else:
            at, took = begun - self.started, time.monotonic() - begun
            self.failures.append(f"{what} begun at {at:.2f} s, failed after {took:.2f} s: {failure}")
