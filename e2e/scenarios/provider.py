"""The fake provider: what it says, and what it received."""

import hashlib
import re

import httpx

# As in e2e/src/provider/script.rs.
WORDS = (
    "water finds its way over stones größer than any river 流れ and carries light to the sea where naïve boats wait 🌊 "
    "for morning while two herons count slow waves until dusk"
).split()
MASK = (1 << 64) - 1


def script(tokens):
    """The text of an answer of so many tokens."""
    return " ".join(WORDS[(7 * i + i // 32) % 32] for i in range(tokens))


def audio(length):
    """The bytes of an audio answer: splitmix64 of a counter, little endian."""
    out = bytearray()
    for i in range((length + 7) // 8):
        z = (i + 1) * 0x9E3779B97F4A7C15 & MASK
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        out += (z ^ z >> 31).to_bytes(8, "little")
    return bytes(out[:length])


def audio_sha256(length):
    """SHA-256 of an audio answer."""
    return hashlib.sha256(audio(length)).hexdigest()


def normal_sha256(events):
    """SHA-256 of an event stream with the two things taken out that differ from request to request: its id and its time."""
    events = re.sub(rb'"chatcmpl-fake\d+"', b'"id"', events)
    return hashlib.sha256(re.sub(rb'"created":\d+', b'"created":0', events)).hexdigest()


class Provider:
    """A running fake provider, by its Service."""

    def __init__(self, name, namespace, address):
        self.name = name
        # The name is for routes, the address for the tests, which need no DNS that way.
        self.url = f"http://{name}.{namespace}.svc:8081"
        self.address = f"http://{address}:8081"
        self.http = httpx.Client(base_url=self.address, timeout=10, trust_env=False)

    def mark(self):
        """The number of the latest request: `requests` tells what came after it."""
        return max((request["n"] for request in self._asked(0)), default=0)

    def requests(self, after):
        """What was received after the mark, with its headers as a dict."""
        return [request | {"headers": dict(request["headers"])} for request in self._asked(after)]

    def _asked(self, after):
        return self.http.get("/_fake/requests", params={"after": after}).raise_for_status().json()

    def answer_of(self, body):
        """The bytes that the provider itself, asked without the relay, answers to a chat request."""
        headers = {"authorization": "Bearer anything"}
        return self.http.post("/v1/chat/completions", json=body, headers=headers).raise_for_status().content
