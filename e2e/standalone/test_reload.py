"""Manifests are reloaded on change, and bad ones change nothing."""

import hashlib
import subprocess
import threading

import httpx
from conftest import KEY, edit, free_port, launch, until

HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"stream": True, "messages": [{"role": "user", "content": "Hello"}]}


def revision(relay) -> str:
    return httpx.get(f"{relay.admin}/revision").json()["revision"]


def identity(relay) -> str:
    answer = httpx.post(f"{relay.url}/v1/chat/completions", headers=HEADERS, json={**BODY, "stream": False, "model": "m"})
    assert answer.status_code == 200, answer.text
    return answer.headers.get("x-fake-identity", "")


def test_a_changed_backend_is_served_and_a_running_stream_goes_on(relay, manifests, programs, tmp_path):
    port = free_port()
    other = launch(
        tmp_path,
        "other",
        [programs / "relay-provider", "--listen", f"127.0.0.1:{port}", "--identity", "other"],
        f"http://127.0.0.1:{port}/_fake/health",
    )
    body = {**BODY, "model": "fake-tokens-60-gap-50ms"}
    started, digests = threading.Event(), []

    def stream():
        digest = hashlib.sha256()
        with httpx.stream("POST", f"{relay.url}/v1/chat/completions", headers=HEADERS, json=body, timeout=30) as answer:
            for piece in answer.iter_raw():
                digest.update(piece)
                started.set()
                digests[:] = [digest.hexdigest(), piece.endswith(b"data: [DONE]\n\n")]

    running = threading.Thread(target=stream)
    running.start()
    assert started.wait(10)
    before = revision(relay)
    edit(manifests / "30-routes.yaml", r":\d+\n      allowPlaintext", f":{port}\n      allowPlaintext")
    until(lambda: revision(relay) != before, "another revision", last=relay.output)
    assert identity(relay) == "other"
    assert running.is_alive(), "the stream should outlast the reload"
    running.join(30)
    assert digests[1], "the stream ended whole"
    other.process.kill()
    other.process.wait()


def test_bad_yaml_names_file_line_field_and_cure_and_the_last_good_stays(relay, manifests):
    before = revision(relay)
    edit(manifests / "30-routes.yaml", "allowPlaintext: true", "allowPlaintext: false")
    until(lambda: "allowPlaintext: true" in relay.output(), "the cure in the log", last=relay.output)
    said = relay.output()
    lines = (manifests / "30-routes.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "url:" in text)
    assert "spec.backends[0].url" in said
    assert f"30-routes.yaml:{line}:" in said
    assert revision(relay) == before
    assert httpx.get(f"{relay.url}/v1/models", headers=HEADERS).status_code == 200
    edit(manifests / "30-routes.yaml", "allowPlaintext: false", "allowPlaintext: true")
    edit(manifests / "40-tenant.yaml", "amount: 600", "amount: 601")
    until(lambda: revision(relay) != before, "the repaired set", last=relay.output)


def test_broken_syntax_keeps_the_last_good(relay, manifests):
    before = revision(relay)
    (manifests / "30-routes.yaml").write_text("apiVersion: stream-relay.dev/v1alpha1\nkind: RelayRoute\nspec: [\n")
    until(lambda: "30-routes.yaml:" in relay.output(), "the complaint", last=relay.output)
    assert revision(relay) == before
    assert httpx.get(f"{relay.url}/v1/models", headers=HEADERS).status_code == 200


def test_check_tells_good_from_bad(programs, manifests):
    program = [programs / "relay-dataplane", "check", manifests]
    good = subprocess.run(program, capture_output=True, text=True)
    assert good.returncode == 0, good.stdout + good.stderr
    edit(manifests / "40-tenant.yaml", "amount: 600, per: Minute", "amount: 600")
    bad = subprocess.run(program, capture_output=True, text=True)
    assert bad.returncode == 1
    assert "spec.limits.requests" in bad.stdout and "40-tenant.yaml:" in bad.stdout
    assert KEY not in bad.stdout + bad.stderr


def test_a_start_with_bad_manifests_fails_with_the_same_words(programs, manifests):
    edit(manifests / "30-routes.yaml", "provider: OpenAI", "provider: OpenAy")
    command = [programs / "relay-dataplane", "--manifests", manifests, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert failed.returncode == 1
    assert "30-routes.yaml:" in failed.stderr and "OpenAy" in failed.stderr
