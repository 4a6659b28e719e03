"""Streams that run in the background while something happens to the relay."""

import hashlib
import threading

import httpx

from provider import audio_sha256, normal_sha256, script
from relay import chat_body, events_text
from wait import until_true

PATIENCE = httpx.Timeout(10, read=30)


class Stream(threading.Thread):
    """One streamed request, begun at once; its bytes are kept."""

    def __init__(self, url, key, path, body):
        super().__init__(daemon=True)
        self.request = (f"{url}{path}", {"authorization": f"Bearer {key}"}, body)
        self.status = self.failure = None
        self.body = bytearray()
        self.start()

    def run(self):
        """Reads it to its end."""
        url, headers, body = self.request
        try:
            with (
                httpx.Client(timeout=PATIENCE, trust_env=False) as client,
                client.stream("POST", url, headers=headers, json=body) as response,
            ):
                self.status = response.status_code
                for piece in response.iter_raw():
                    self.body += piece
        except httpx.HTTPError as error:
            self.failure = f"{type(error).__name__}: {error}"

    def begun(self):
        """Waits for its first bytes."""
        until_true(f"the first byte of a stream from {self.request[0]}", lambda: self.body or self.failure, within=15)
        assert self.failure is None, self.failure
        return self

    def running(self):
        """Whether it still runs."""
        return self.is_alive()

    def finished(self, within):
        """Waits for its good end and returns its bytes."""
        self.join(within)
        what = f"the stream from {self.request[0]}"
        assert not self.is_alive(), f"{what} still runs after {within} s, {len(self.body)} bytes so far"
        assert self.failure is None, f"{what} failed after {len(self.body)} bytes: {self.failure}"
        assert self.status == 200, f"{what} was answered {self.status}: {bytes(self.body[:500])!r}"
        return bytes(self.body)


class Chat(Stream):
    """A Chat Completions stream of so many tokens, `gap` milliseconds apart."""

    def __init__(self, url, key, tokens, gap):
        self.tokens = tokens
        super().__init__(url, key, "/v1/chat/completions", chat_body(f"fake-tokens-{tokens}-gap-{gap}ms", stream=True))

    def verify(self, provider, within=30):
        """Its end is good, its text the script, and its bytes those that the provider sends without the relay between."""
        body = self.finished(within)
        assert events_text(body) == script(self.tokens)
        model = self.request[2]["model"]
        direct = provider.answer_of(chat_body(f"fake-tokens-{self.tokens}", stream=True))
        direct = direct.replace(f'"fake-tokens-{self.tokens}"'.encode(), f'"{model}"'.encode())
        assert normal_sha256(body) == normal_sha256(direct)


class Speech(Stream):
    """A binary stream of so many pieces of 1 KiB, `gap` milliseconds apart."""

    def __init__(self, url, key, pieces, gap):
        self.length = pieces << 10
        model = f"fake-bytes-{pieces}k-chunk-1k-gap-{gap}ms"
        super().__init__(url, key, "/v1/audio/speech", {"model": model, "input": "Water", "voice": "alloy"})

    def verify(self, _provider=None, within=30):
        """Its end is good and its bytes are those that the provider makes."""
        assert hashlib.sha256(self.finished(within)).hexdigest() == audio_sha256(self.length)

