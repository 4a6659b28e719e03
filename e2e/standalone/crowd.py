"""Many clients in one process: kept HTTP/1.1 connections with one request at a time each, and a steady stream of requests over them."""

import asyncio
import re
import time
from typing import NamedTuple

PATIENCE = 60


class Answer(NamedTuple):
    """One answer, who gave it, and when its request began, in seconds of time.monotonic()."""

    port: int
    status: int
    head: bytes
    body: bytes
    began: float
    took: float

    def header(self, name: str) -> str | None:
        found = re.search(rb"\r\n" + name.encode() + rb":\s*([^\r]*)", self.head, re.IGNORECASE)
        return found[1].decode() if found else None


class Lane(asyncio.Protocol):
    """A connection. A request on a connection that is closed meanwhile fails with ConnectionError, as it would for a client without retries."""

    def __init__(self):
        self.transport = None
        self.waiting = None
        self._reset()

    @classmethod
    async def open(cls, port: int):
        _, lane = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        lane.port = port
        return lane

    def _reset(self):
        self.buffer, self.head, self.rest, self.chunks = bytearray(), None, None, None

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        self.transport = None
        if self.waiting and not self.waiting.done():
            self.waiting.set_exception(ConnectionError(f"closed before the answer's end: {error}"))

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def close(self):
        if self.transport:
            self.transport.close()

    def ask(self, text: bytes) -> asyncio.Future:
        """Sends a request; the future is its Answer."""
        self._reset()
        self.waiting = asyncio.get_running_loop().create_future()
        self.began = time.monotonic()
        if self.is_open:
            self.transport.write(text)
        else:
            self.waiting.set_exception(ConnectionError("closed before the request"))
        return self.waiting

    def data_received(self, data):
        self.buffer += data
        if self.head is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head = bytes(self.buffer[: end + 2])
            del self.buffer[: end + 4]
            length = re.search(rb"\r\ncontent-length:\s*(\d+)", self.head, re.IGNORECASE)
            if length:
                self.rest = int(length[1])
            else:
                self.chunks = bytearray()
        if self.rest is not None and len(self.buffer) >= self.rest:
            self._done(bytes(self.buffer))
        elif self.chunks is not None:
            self._take_chunks()

    def _take_chunks(self):
        while (end := self.buffer.find(b"\r\n")) >= 0:
            size = int(self.buffer[:end], 16)
            if len(self.buffer) < end + 4 + size:
                return
            self.chunks += self.buffer[end + 2 : end + 2 + size]
            del self.buffer[: end + 4 + size]
            if size == 0:
                return self._done(bytes(self.chunks))

    def _done(self, body):
        if self.waiting and not self.waiting.done():
            self.waiting.set_result(Answer(self.port, int(self.head[9:12]), self.head, body, self.began, time.monotonic() - self.began))


class Crowd:
    """Clients that all ask at the same time, each on a connection of its own. `async with` closes the kept ones at its end."""

    # How many are opened at once: a listener's queue has an end.
    OPENING = 100

    def __init__(self):
        self.idle = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for lanes in self.idle.values():
            for lane in lanes:
                lane.close()

    async def at_once(self, jobs: list[tuple[int, bytes]]) -> list[Answer]:
        """(port, request) each; none is sent before there is a connection for all."""
        async with asyncio.timeout(PATIENCE):
            lanes = []
            for start in range(0, len(jobs), self.OPENING):
                lanes += await asyncio.gather(*(self._lane(port) for port, _ in jobs[start : start + self.OPENING]))
            answers = await asyncio.gather(*(lane.ask(text) for lane, (_, text) in zip(lanes, jobs)))
        for lane, (port, _) in zip(lanes, jobs):
            self.idle.setdefault(port, []).append(lane)
        return answers

    async def _lane(self, port: int) -> Lane:
        idle = self.idle.get(port, [])
        while idle:
            if (lane := idle.pop()).is_open:
                return lane
        return await Lane.open(port)


class Steady:
    """So many requests a second, spread evenly over the ports, whether or not answers come: what it measures is what users see."""

    def __init__(self, ports, text: bytes, per_second: float):
        self.ports, self.text, self.gap = list(ports), text, 1 / per_second
        self.idle = {port: [] for port in self.ports}
        self.answers: list[Answer] = []
        self.failed: list[str] = []
        self.late = 0.0
        self.stopping = False

    async def run(self):
        """Until `stopping`, and then until the last answer."""
        running, number, start = set(), 0, time.monotonic()
        while not self.stopping:
            due = start + number * self.gap
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            self.late = max(self.late, time.monotonic() - due)
            task = asyncio.create_task(self._one(self.ports[number % len(self.ports)]))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        await asyncio.gather(*running)
        for lanes in self.idle.values():
            for lane in lanes:
                lane.close()

    async def _one(self, port: int):
        try:
            lane = self._kept(port) or await Lane.open(port)
            async with asyncio.timeout(PATIENCE):
                answer = await lane.ask(self.text)
        except (OSError, TimeoutError) as error:
            self.failed.append(repr(error))
            return
        self.answers.append(answer)
        if lane.is_open:
            self.idle[port].append(lane)

    def _kept(self, port: int) -> Lane | None:
        while lanes := self.idle[port]:
            if (lane := lanes.pop()).is_open:
                return lane
        return None


def percentile(values, percent: float) -> float:
    """The smallest value that `percent` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0
