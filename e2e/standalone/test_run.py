"""`make run` as a user types it."""

import hashlib
import os
import pty
import re
import select
import signal
import socket
import subprocess

import httpx
import pytest
from conftest import KEY, ROOT, free_port, until


@pytest.fixture
def made(tmp_path):
    """Calls make with ports and a state folder of this test's own."""
    ports = {"PORT": free_port(), "ADMIN_PORT": free_port(), "PROVIDER_PORT": free_port()}
    env = {**os.environ, "RELAY_STATE": str(tmp_path / "state"), **{name: str(port) for name, port in ports.items()}}

    def call(target, **more):
        return subprocess.run(
            ["make", "--no-print-directory", "-C", ROOT, target],
            env={**env, **more},
            capture_output=True,
            text=True,
            timeout=1200,
            stdin=subprocess.DEVNULL,
        )

    yield call, ports
    call("stop")


def test_make_run_streams_a_demo_and_stays_up_until_make_stop(made):
    call, ports = made
    ran = call("run", DETACH="1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = httpx.get(f"http://127.0.0.1:{ports['PROVIDER_PORT']}/_fake/script", params={"tokens": 24}).text
    assert text in ran.stdout
    curl = re.search(r"curl -N .*\n.*", ran.stdout).group(0).replace("\\\n", " ")
    answer = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=30)
    assert answer.stdout.rstrip().endswith("data: [DONE]")
    assert f"OPENAI_BASE_URL=http://127.0.0.1:{ports['PORT']}/v1" in ran.stdout and KEY in ran.stdout
    assert call("stop").returncode == 0
    for port in ports.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_ctrl_c_ends_what_make_run_started(made, tmp_path):
    _, ports = made
    env = {**os.environ, "RELAY_STATE": str(tmp_path / "state"), **{name: str(port) for name, port in ports.items()}}
    child, terminal = pty.fork()
    if child == 0:
        # A terminal's own programs start with it; a test that runs in the background has it ignored, which no shell can undo.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvpe("make", ["make", "--no-print-directory", "-C", str(ROOT), "run"], env)
    said = b""
    while True:
        if not select.select([terminal], [], [], 600)[0]:
            os.kill(child, signal.SIGTERM)
            pytest.fail(f"nothing more was said behind:\n{said.decode()}")
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the terminal closed with its last process
            break
        if not piece:
            break
        if b"Ctrl-C ends it" in (said := said + piece) and b"^C" not in said:
            os.write(terminal, b"\x03")
    os.waitpid(child, 0)
    assert b"stopped relay-dataplane" in said and b"stopped relay-provider" in said, said.decode()
    assert b"unexpected" not in said, said.decode()
    for port in ports.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_is_named_with_the_flag_that_moves_it(made):
    call, ports = made
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports["PORT"]))
        taken.listen()
        ran = call("run", DETACH="1")
    assert ran.returncode != 0
    assert f"port {ports['PORT']} is taken" in ran.stderr and "PORT=" in ran.stderr


def test_the_program_itself_names_a_taken_port_and_its_flag(programs, manifests):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [programs / "relay-dataplane", "--manifests", manifests, "--listen", address, "--admin", "127.0.0.1:0"]
        failed = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert failed.returncode == 3
    assert address in failed.stderr and "--listen" in failed.stderr


def test_usage_errors_exit_with_two_and_help_explains(programs):
    program = programs / "relay-dataplane"
    assert subprocess.run([program], capture_output=True).returncode == 2
    assert subprocess.run([program, "--nonsense"], capture_output=True).returncode == 2
    told = subprocess.run([program, "--help"], capture_output=True, text=True)
    assert told.returncode == 0
    for word in ["--manifests", "RELAY_MANIFESTS", "--redis-url", "Shutdown", "check", "key"]:
        assert word in told.stdout, word


def test_a_flag_goes_before_the_variable_of_another_source(programs, manifests, tmp_path):
    # Its manifests are refused: it has looked at them, and not at the folder that the variable names.
    (tmp_path / "bad.yaml").write_text("kind: RelayRoute\napiVersion: nothing/v1\nmetadata: {name: 1}\n")
    environment = os.environ | {"RELAY_CONFIG_DIR": str(manifests), "RELAY_CONFIG_NAMESPACE": "relay"}
    command = [programs / "relay-dataplane", "--manifests", tmp_path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and "bad.yaml" in ended.stderr, ended.stderr


def test_key_makes_a_key_and_its_digest(programs):
    out = subprocess.run([programs / "relay-dataplane", "key"], capture_output=True, text=True, check=True).stdout
    key, digest = re.search(r"key:\s+(\S+)", out).group(1), re.search(r"sha256:\s+(\S+)", out).group(1)
    assert hashlib.sha256(key.encode()).hexdigest() == digest and len(key) >= 20


def test_sigterm_lets_a_running_stream_finish(relay):
    body = {"model": "fake-tokens-30-gap-50ms", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.stream("POST", f"{relay.url}/v1/chat/completions", headers=headers, json=body, timeout=30) as answer:
        pieces = answer.iter_text()
        text = next(pieces)
        relay.process.terminate()
        until(lambda: httpx.get(f"{relay.admin}/readyz").status_code == 503, "unready", last=relay.output)
        text += "".join(pieces)
    assert text.rstrip().endswith("data: [DONE]")
    assert relay.process.wait(timeout=20) == 0
