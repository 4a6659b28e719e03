"""A plain HTTP/1.1 client for many connections at once, and the manifests of a relay without limits."""

import asyncio
import hashlib
import json
import pathlib
import re

KEY = "endurance-tenant-key-not-a-secret"
PATIENCE = 60


def write_manifests(folder: pathlib.Path, provider_port: int, more: str = "") -> pathlib.Path:
    """A tenant without limits and one route to the provider."""
    folder.mkdir()
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    (folder / "tenant.yaml").write_text(f"""
apiVersion: stream-relay.dev/v1alpha1
kind: RelayTenant
metadata: {{name: many, namespace: load}}
spec:
  apiKeys: [{{name: main, sha256: {digest}}}]
  limits: {{requests: {{unlimited: true}}}}
""")
    (folder / "route.yaml").write_text(f"""
apiVersion: v1
kind: Secret
metadata: {{name: provider, namespace: load}}
stringData: {{key: provider-key-not-a-secret}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: provider, namespace: load}}
spec:
  matches: [{{path: {{prefix: /v1}}}}]
  backends:
    - name: provider
      provider: OpenAI
      url: http://127.0.0.1:{provider_port}
      allowPlaintext: true
      credential: {{secretRef: {{name: provider, key: key}}}}
{more}""")
    return folder


def request(path: str, body: dict, *headers: str) -> bytes:
    """The bytes of a request with the tenant's key."""
    text = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "host: relay", f"authorization: Bearer {KEY}", "content-type: application/json"]
    return "\r\n".join([*lines, f"content-length: {len(text)}", *headers, "", ""]).encode() + text


def chat(model: str, *headers: str) -> bytes:
    return request(
        "/v1/chat/completions",
        {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]},
        *headers,
    )


def speech(model: str, *headers: str) -> bytes:
    return request("/v1/audio/speech", {"model": model, "voice": "alloy", "input": "Hello"}, *headers)


class Broken(Exception):
    """An answer that is not whole."""


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict, bytes]:
    """Reads one answer to the end of its framing: status, headers, body. Raises what says that it was cut."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines if line)}
    if headers.get("transfer-encoding") != "chunked":
        return int(status.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))
    body = bytearray()
    while True:
        size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE), 16)
        piece = await asyncio.wait_for(reader.readexactly(size + 2), PATIENCE)
        if size == 0:
            return int(status.split()[1]), headers, bytes(body)
        body += piece[:-2]


async def ask(port: int, text: bytes) -> tuple[int, dict, bytes]:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        return await answer(reader)
    finally:
        writer.close()


def digest_of_events(body: bytes) -> str:
    """The hash of a chat stream without what differs from one request to the next: its id and its time."""
    if not body.endswith(b"data: [DONE]\n\n"):
        raise Broken(f"the stream ends with {body[-80:]!r}")
    return hashlib.sha256(re.sub(rb'"id":"[^"]*"|"created":\d+', b"", body)).hexdigest()
