"""The listener of the program itself: its certificate, and what it does when it has no more to give."""

import contextlib
import shutil
import socket
import ssl
import subprocess

import httpx
from conftest import KEY, free_port, openssl, until

HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"model": "fake-tokens-20", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


def pair(folder, name):
    """A certificate of this name, signed by itself, in files of a volume that is swapped as the kubelet does it."""
    generation = folder / f"..{name}"
    generation.mkdir(parents=True)
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    openssl("req", "-x509", *elliptic, "-keyout", "tls.key", "-out", "tls.crt", *subject, "-days", "2", cwd=generation)
    swap(folder, generation)
    return generation


def swap(folder, generation):
    (folder / "..data_tmp").symlink_to(generation.name)
    (folder / "..data_tmp").rename(folder / "..data")
    for file in ("tls.crt", "tls.key"):
        if not (folder / file).is_symlink():
            (folder / file).symlink_to(f"..data/{file}")


def certificate(relay) -> str:
    return ssl.get_server_certificate(("127.0.0.1", int(relay.url.rsplit(":", 1)[1])))


def sample(relay, name) -> float:
    lines = httpx.get(f"{relay.admin}/metrics").text.splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)


def test_a_certificate_is_replaced_under_running_streams(start, manifests, tmp_path):
    folder = tmp_path / "tls"
    pair(folder, "one.example")
    relay = start(manifests, "--tls-dir", folder)
    url = relay.url.replace("http://", "https://")
    first = certificate(relay)
    slow = {**BODY, "model": "fake-tokens-40-gap-50ms"}
    with httpx.Client(verify=False) as client, client.stream("POST", f"{url}/v1/chat/completions", headers=HEADERS, json=slow) as answer:
        lines = answer.iter_lines()
        next(lines)
        pair(folder, "two.example")
        until(lambda: certificate(relay) != first, "the new certificate", last=relay.output)
        second = certificate(relay)
        broken = folder / "..three"
        shutil.copytree(folder / "..two.example", broken)
        (broken / "tls.key").write_text("no key")
        swap(folder, broken)
        until(lambda: sample(relay, 'relay_tls_reloads_total{result="refused"}') == 1, "the refusal", last=relay.output)
        assert certificate(relay) == second
        assert list(lines)[-2] == "data: [DONE]"
    assert sample(relay, 'relay_tls_reloads_total{result="taken"}') == 1
    assert "no private key in PEM form" in relay.output() and "no key" not in relay.output().replace("no key ", "")


def test_both_protocols_come_over_tls(start, manifests, tmp_path):
    pair(tmp_path / "tls", "one.example")
    relay = start(manifests, "--tls-dir", tmp_path / "tls")
    url = relay.url.replace("http://", "https://") + "/v1/chat/completions"
    body = '{"model": "fake-tokens-3", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
    for flag, version in (("--http1.1", "1.1"), ("--http2", "2")):
        command = ["curl", "-sk", flag, url, "-H", f"authorization: Bearer {KEY}", "-H", "content-type: application/json", "-d", body]
        done = subprocess.run([*command, "-w", "%{http_version}"], capture_output=True, text=True, check=True)
        assert done.stdout.endswith(f"data: [DONE]\n\n{version}"), done.stdout
    for old in ("1.0", "1.1"):
        done = subprocess.run(["curl", "-sk", f"--tlsv{old}", "--tls-max", old, url], capture_output=True)
        assert done.returncode != 0, f"TLS {old}"
    # What is not TLS gets no answer of HTTP.
    with socket.create_connection(("127.0.0.1", int(relay.url.rsplit(":", 1)[1]))) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP")


def test_a_folder_without_a_pair_does_not_start(programs, manifests, tmp_path):
    command = [programs / "relay-dataplane", "--manifests", manifests, "--tls-dir", tmp_path / "nowhere"]
    command += ["--listen", f"127.0.0.1:{free_port()}", "--admin", f"127.0.0.1:{free_port()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 3, done.stderr
    assert "--tls-dir: can't read" in done.stderr and "kubernetes.io/tls" in done.stderr


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_without_descriptors_clients_are_closed_and_the_admin_port_goes_on(start, manifests):
    # More connections than descriptors are allowed, so that they do run out.
    relay = start(manifests, "--max-connections", "100000", prefix=["prlimit", "--nofile=64:64"])
    port = int(relay.url.rsplit(":", 1)[1])
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(100)]
        for client in clients:
            client.setblocking(False)
        # 64 descriptors can't hold more: the others are closed, one after the other.
        until(lambda: sum(map(is_closed, clients)) > 36, "clients to be closed", last=relay.output)
        closed = sum(map(is_closed, clients))
        assert closed < 100, relay.output()
        assert httpx.get(f"{relay.admin}/healthz", timeout=10).status_code == 200
        assert sample(relay, 'relay_errors_total{provider="none",reason="overloaded"') >= closed
    answer = httpx.post(f"{relay.url}/v1/chat/completions", headers=HEADERS, json=BODY, timeout=10)
    assert answer.status_code == 200 and answer.text.endswith("data: [DONE]\n\n"), relay.output()


def test_bounds_come_from_descriptors_and_memory(start, manifests):
    relay = start(manifests, prefix=["prlimit", "--nofile=1000:2000"])
    # The soft limit is raised to the hard one: (2000 - 128) / 2.
    until(lambda: "connections=936 requests=936" in relay.output(), "the bounds in the log", last=relay.output)
    relay = start(manifests, "--max-connections", "7", "--max-requests", "3")
    until(lambda: "connections=7 requests=3" in relay.output(), "the bounds in the log", last=relay.output)
