"""Secrets of providers and tenants appear nowhere: no answer, no log at its most talkative, no metric, no panic, no complaint of `check`."""

import base64
import json
import subprocess

import httpx
import pytest
from conftest import free_port, until

CANARY = "cAnArY"
TENANT_KEY = f"tenant-{CANARY}-8f1c2d3e4b5a69788796a5b4c3d2e1f0"
PROVIDER_KEY = f"provider-{CANARY}-00112233445566778899aabbccddeeff"
HEADER_KEY = f"header-{CANARY}-99aabbccddeeff001122334455667788"
REDIS_PASSWORD = f"redis-{CANARY}-0f0f0f0f0f0f0f0f"


def spellings(secret: str) -> list[str]:
    """As it is, and as programs print bytes."""
    data = secret.encode()
    encoded = [base64.b64encode(b"x" * skip + data).decode()[4:-4] for skip in range(3)]
    listed = ", ".join(str(byte) for byte in data[:12])
    return [secret, secret[8:], data.hex(), data.hex().upper(), *encoded, listed]


def found(text: str) -> list[str]:
    secrets = (TENANT_KEY, PROVIDER_KEY, HEADER_KEY, REDIS_PASSWORD)
    return [spelling for secret in secrets for spelling in spellings(secret) if spelling in text]


def write(folder, provider_port, dead_port):
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text(f"""
apiVersion: v1
kind: Secret
metadata: {{name: keys, namespace: a}}
stringData: {{provider: {PROVIDER_KEY}, tenant: {TENANT_KEY}, header: {HEADER_KEY}}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayTenant
metadata: {{name: t, namespace: a}}
spec:
  apiKeys: [{{name: main, secretRef: {{name: keys, key: tenant}}}}]
  limits: {{requests: {{amount: 5, per: Minute, burst: 40}}}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: works, namespace: a}}
spec:
  matches: [{{path: {{prefix: /v1}}}}]
  timeouts: {{firstByte: 300ms, idle: 300ms}}
  body: {{max: 2Ki}}
  backends:
    - {{name: b, provider: OpenAI, url: "http://127.0.0.1:{provider_port}", allowPlaintext: true, credential: {{secretRef: {{name: keys, key: provider}}}}}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: claude, namespace: a}}
spec:
  matches: [{{path: {{prefix: /v1/messages}}}}]
  backends:
    - {{name: b, provider: Custom, url: "http://127.0.0.1:{provider_port}", allowPlaintext: true, credential: {{header: x-own-key, secretRef: {{name: keys, key: header}}}}}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: dead, namespace: a}}
spec:
  matches: [{{path: {{prefix: /dead}}}}]
  backends:
    - {{name: b, provider: OpenAI, url: "http://127.0.0.1:{dead_port}", allowPlaintext: true, credential: {{secretRef: {{name: keys, key: provider}}}}}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: not-ready, namespace: a}}
spec:
  matches: [{{path: {{prefix: /not-ready}}}}]
  backends:
    - {{name: b, provider: OpenAI, credential: {{secretRef: {{name: keys, key: missing}}}}}}
""")
    return folder


MODELS = [
    "fake-tokens-3", "fake-slow-first-2s", "fake-401", "fake-429-after-30s", "fake-503", "fake-html", "fake-cut-at-2",
    "fake-reset-at-2", "fake-error-at-2", "fake-tokens-9-gap-2s", "fake-gzip",
]  # fmt: skip


def requests():
    """Every kind of request and of trouble: method, path, headers, body."""
    keys = [
        {"authorization": f"Bearer {TENANT_KEY}"},
        {"x-api-key": TENANT_KEY},
        {"api-key": TENANT_KEY},
        {"x-goog-api-key": TENANT_KEY},
        {"xi-api-key": TENANT_KEY},
        {"ocp-apim-subscription-key": TENANT_KEY},
    ]
    for model in MODELS:
        yield "POST", "/v1/chat/completions", keys[0], json.dumps({"model": model, "stream": True, "messages": []})
    for key in keys:
        yield "GET", f"/v1/models?key={TENANT_KEY}&api_key={PROVIDER_KEY}", key, ""
    yield "POST", "/v1/messages", keys[1], json.dumps({"model": "fake-tokens-3", "stream": True, "max_tokens": 3, "messages": []})
    yield "POST", "/dead/x", keys[0], "{}"
    yield "POST", "/not-ready/x", keys[0], "{}"
    yield "POST", "/no-route", keys[0], "{}"
    yield "POST", "/v1/chat/completions", {"authorization": f"Bearer {TENANT_KEY}-wrong"}, "{}"
    yield "POST", "/v1/chat/completions", {"authorization": f"Bearer {TENANT_KEY}", "x-api-key": PROVIDER_KEY}, "{}"
    yield "POST", "/v1/chat/completions", {"authorization": f"Basic {TENANT_KEY}", "cookie": f"key={TENANT_KEY}"}, "{}"
    yield "POST", "/v1/chat/completions", keys[0], "x" * 5_000
    yield "POST", "/v1/../chat", keys[0], "{}"
    yield "TRACE", "/v1/x", keys[0], ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_seen_whatever_happens(start, provider, tmp_path, form):
    folder = write(tmp_path / "canaries", provider.ports["listen"], free_port())
    redis = f"redis://relay:{REDIS_PASSWORD}@127.0.0.1:{free_port()}/0"
    options = ["--allow-cidr", "127.0.0.0/8", "--log-level", "trace", "--log-format", form]
    relay = start(folder, *options, env={"RELAY_REDIS_URL": redis, "RUST_BACKTRACE": "full"})
    answers = []
    for method, path, headers, body in requests():
        try:
            answer = httpx.request(method, f"{relay.url}{path}", headers=headers, content=body, timeout=20)
            answers.append(f"{answer.status_code} {answer.headers} {answer.text}")
        except httpx.HTTPError as error:
            answers.append(type(error).__name__)
    # A set with an error, whose complaint stands beside the secrets.
    (folder / "bad.yaml").write_text(
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: bad, namespace: a}}\nstringData: {{key: [{PROVIDER_KEY}]}}\n---\n"
        f"apiVersion: stream-relay.dev/v1alpha1\nkind: RelayTenant\nmetadata: {{name: u, namespace: a}}\n"
        f"spec: {{apiKeys: [{{name: k, sha256: {TENANT_KEY}}}]}}\n"
    )
    until(lambda: "bad.yaml:" in relay.output(), "the complaint", last=lambda: relay.output()[-3000:])
    for page in ("metrics", "revision", "healthz", "readyz"):
        answers.append(httpx.get(f"{relay.admin}/{page}").text)
    relay.stop()
    assert any("Complete" in line for line in relay.output().splitlines()), "the log tells of requests"
    assert not found("\n".join(answers)), found("\n".join(answers))
    assert not found(relay.output()), found(relay.output())
    # The search itself works: the provider was sent the one, and never the other.
    seen = httpx.get(f"{provider.url}/_fake/requests").text
    assert PROVIDER_KEY in seen and HEADER_KEY in seen and TENANT_KEY not in seen


def test_check_and_help_show_no_secret(programs, tmp_path):
    folder = write(tmp_path / "canaries", 1, 2)
    env = {"RELAY_REDIS_URL": f"redis://relay:{REDIS_PASSWORD}@127.0.0.1:1/0"}
    for arguments in (["check", folder], ["--help"], ["--redis-url", f"{REDIS_PASSWORD}://", "--manifests", folder]):
        done = subprocess.run([programs / "relay-dataplane", *arguments], env=env, capture_output=True, text=True, timeout=30)
        said = done.stdout + done.stderr
        assert said and not found(said), arguments
