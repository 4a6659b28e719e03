"""A real TLS server stands in front of the provider: nginx with a certificate of a CA that only this test knows."""

import subprocess

import httpx
import pytest
from conftest import KEY, PROVIDER_HOST, edit, free_port, openssl, until

HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"model": "fake-tokens-20", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def tls(tmp_path, provider):
    """Port of an nginx that speaks TLS as the provider's host, and the CA to trust it by."""
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *elliptic, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "2", cwd=tmp_path)
    openssl("req", *elliptic, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=provider", cwd=tmp_path)
    (tmp_path / "san").write_text(f"subjectAltName=DNS:{PROVIDER_HOST}\n")
    sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl(*sign, "-out", "server.pem", "-days", "2", "-extfile", "san", cwd=tmp_path)
    port = free_port()
    (tmp_path / "nginx.conf").write_text(f"""
      daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/nginx.log; worker_processes 1; user root;
      events {{}}
      http {{
        access_log off; proxy_buffering off; proxy_http_version 1.1;
        client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/f;
        uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
        server {{
          listen 127.0.0.1:{port} ssl; ssl_certificate {tmp_path}/server.pem; ssl_certificate_key {tmp_path}/server.key;
          location / {{ proxy_pass http://127.0.0.1:{provider.ports['listen']}; proxy_set_header Host $host; }}
        }}
      }}""")
    with (tmp_path / "nginx.out").open("w") as out:
        nginx = subprocess.Popen(["nginx", "-c", tmp_path / "nginx.conf", "-p", tmp_path], stdout=out, stderr=out)

    def up():
        assert nginx.poll() is None, (tmp_path / "nginx.out").read_text()
        probe = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"]
        return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    until(up, "nginx with TLS")
    yield port, tmp_path / "ca.pem"
    nginx.terminate()
    nginx.wait(timeout=10)


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
