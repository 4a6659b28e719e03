"""Upstreams over TLS, to a real server."""

import front
import httpx
import pytest
from conftest import KEY, PROVIDER_HOST, edit, free_port

HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"model": "fake-tokens-20", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def tls(tmp_path, provider):
    """Port of an nginx that speaks TLS as the provider's host, and the CA to trust it by."""
    port = free_port()
    with front.nginx(tmp_path, provider.ports["listen"], [PROVIDER_HOST], f"127.0.0.1:{port}") as ca:
        yield port, ca


def to_https(manifests, port):
    edit(manifests / "30-routes.yaml", r"url: http://([a-z.-]+):\d+\n      allowPlaintext: true", rf"url: https://\1:{port}")


def test_a_stream_comes_over_tls_from_a_server_whose_ca_the_system_trusts(start, manifests, tls):
    port, ca = tls
    to_https(manifests, port)
    relay = start(manifests, env={"SSL_CERT_FILE": str(ca)})
    answer = httpx.post(f"{relay.url}/v1/chat/completions", headers=HEADERS, json=BODY)
    assert answer.status_code == 200, relay.output()
    assert answer.text.endswith("data: [DONE]\n\n")


def test_a_server_of_an_unknown_ca_gets_neither_request_nor_credential(start, manifests, tls, provider):
    port, _ = tls
    to_https(manifests, port)
    relay = start(manifests)
    before = len(httpx.get(f"{provider.url}/_fake/requests").json())
    answer = httpx.post(f"{relay.url}/v1/chat/completions", headers=HEADERS, json=BODY)
    assert answer.status_code == 502 and answer.headers["x-relay-error"] == "upstream_connect"
    assert len(httpx.get(f"{provider.url}/_fake/requests").json()) == before
    assert "certificate" in relay.output()
