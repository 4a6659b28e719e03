"""A line between a relay and Redis that a test makes slow, or cuts."""

import asyncio
import threading
import time


class Line:
    """Copies bytes between clients and a server on 127.0.0.1, each piece `delay` seconds later, half of it on either way. Runs in a thread of its own."""

    # The longest delay that a test may ask for, in seconds.
    LONGEST = 0.5

    def __init__(self, server_port: int):
        self.server_port, self.delay, self.port = server_port, 0.0, None
        self.loop = asyncio.new_event_loop()
        self.began = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        assert self.began.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)

    def slow(self, delay: float):
        """From now on."""
        assert 0 <= delay <= self.LONGEST
        self.delay = delay

    def _run(self):
        self.loop.run_until_complete(self._serve())

    async def _serve(self):
        self.ended = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.began.set()
        await self.ended.wait()
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _connection(self, client_reader, client_writer):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server_port)
            await asyncio.gather(self._copy(client_reader, writer), self._copy(reader, client_writer))
        except OSError:
            pass
        finally:
            client_writer.close()

    async def _copy(self, reader, writer):
        """Pieces stay in order when the delay becomes shorter."""
        last = 0.0
        while data := await reader.read(65_536):
            last = max(last, time.monotonic() + self.delay / 2)
            self.loop.call_later(last - time.monotonic(), writer.write, data)
        self.loop.call_later(max(0.0, last - time.monotonic()), writer.close)
