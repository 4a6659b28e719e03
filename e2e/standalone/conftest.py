"""The relay without a cluster, as a user starts it: the program itself, real sockets, the official SDKs."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field

import httpx
import pytest
import tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "relay-demo-tenant-key-not-a-secret"
PROVIDER_HOST = "provider.relay-demo.svc"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what, seconds=20.0, last=lambda: ""):
    """Waits for a condition; says what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for: {what}\n{last()}")


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


def answers(url) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def programs() -> pathlib.Path:
    """Folder of the programs that were built for the images; RELAY_PROGRAMS names another."""
    if folder := os.environ.get("RELAY_PROGRAMS"):
        return pathlib.Path(folder).resolve()
    built = subprocess.run([ROOT / "e2e/binaries"], check=True, capture_output=True, text=True)
    return pathlib.Path(built.stdout.strip())


@pytest.fixture(scope="session")
def node_sdks() -> pathlib.Path:
    """Folder of Node's official SDKs."""
    installed = subprocess.run([ROOT / "e2e/setup", "sdk"], check=True, capture_output=True, text=True)
    return pathlib.Path(installed.stdout.split()[-1])


@pytest.fixture
def undisturbed():
    """For figures: before what else runs on this machine, as far as this account may say so. Programs that the test starts inherit it."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    yield
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, before)


@dataclass
class Program:
    """A running program and all that it printed."""

    process: subprocess.Popen
    log: pathlib.Path
    url: str
    admin: str = ""
    ports: dict = field(default_factory=dict)

    def output(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def launch(folder, name, arguments, ready, env=None) -> Program:
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    with log.open("w") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    program = Program(process, log, ready)
    until(lambda: process.poll() is not None or answers(ready), f"{name} at {ready}", last=program.output)
    assert process.poll() is None, program.output()
    return program


@pytest.fixture
def provider(programs, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = launch(
        tmp_path, "provider", [programs / "relay-provider", "--listen", f"127.0.0.1:{port}"], f"{url}/_fake/health"
    )
    program.url = url
    program.ports["listen"] = port
    yield program
    if program.process.poll() is None:
        program.process.kill()
        program.process.wait()


@pytest.fixture
def manifests(tmp_path, provider) -> pathlib.Path:
    """The quickstart's own files; only the provider's port is this test's."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for file in sorted((ROOT / "deploy/quickstart").glob("*.yaml")):
        text = file.read_text().replace(f"{PROVIDER_HOST}:8081", f"{PROVIDER_HOST}:{provider.ports['listen']}")
        (folder / file.name).write_text(text)
    return folder


@pytest.fixture
def start(programs, tmp_path):
    """Starts relays; ends them afterwards."""
    running = []

    def start(manifests, *arguments, env=None, prefix=()) -> Program:
        listen, admin = free_port(), free_port()
        command = [*prefix, programs / "relay-dataplane", "--manifests", manifests, "--listen", f"127.0.0.1:{listen}"]
        command += ["--admin", f"127.0.0.1:{admin}", "--resolve", f"{PROVIDER_HOST}=127.0.0.1", "--lame-duck", "0s", *arguments]
        program = launch(tmp_path, "relay", command, f"http://127.0.0.1:{admin}/readyz", env)
        program.url, program.admin = f"http://127.0.0.1:{listen}", f"http://127.0.0.1:{admin}"
        running.append(program)
        return program

    yield start
    for program in running:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


@pytest.fixture
def relay(start, manifests) -> Program:
    return start(manifests)


@pytest.fixture
def script(provider):
    """The text of the provider's answer of so many tokens."""
    return lambda tokens: httpx.get(f"{provider.url}/_fake/script", params={"tokens": tokens}).text


def edit(path: pathlib.Path, pattern: str, replacement: str):
    """Replaces as an editor does: a new file under the old name."""
    text = path.read_text()
    changed = re.sub(pattern, replacement, text)
    assert changed != text, f"{pattern} is not in {path}"
    fresh = path.with_suffix(".new")
    fresh.write_text(changed)
    shutil.move(fresh, path)


def pytest_terminal_summary(terminalreporter):
    """Prints what was measured."""
    if tables.FOUND:
        terminalreporter.section("figures")
        for line in tables.lines():
            terminalreporter.write_line(line)
