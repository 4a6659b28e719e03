"""Starts and ends what is measured: the mock upstream, nginx, the bare hyper relay, the relay."""

import contextlib
import getpass
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PROXY_CORE, LOAD_CORE = 0, 1
KEY = "relay-bench-tenant-key-not-a-secret"
PATIENCE = 10

NGINX = """\
{user}
daemon off;
worker_processes 1;
error_log stderr warn;
pid {dir}/nginx.pid;
worker_rlimit_nofile 8192;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  keepalive_requests 1000000000;
  upstream provider {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""

# As in a user's own folder, but for the limit: a load is no tenant.
MANIFESTS = """\
apiVersion: v1
kind: Secret
metadata: {{name: keys, namespace: bench}}
stringData: {{provider: bench-provider-key-not-a-secret, tenant: {key}}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: chat, namespace: bench}}
spec:
  matches:
    - path: {{prefix: /v1}}
  backends:
    - name: upstream
      provider: OpenAI
      url: http://{upstream}
      allowPlaintext: true
      credential:
        secretRef: {{name: keys, key: provider}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayTenant
metadata: {{name: load, namespace: bench}}
spec:
  apiKeys:
    - name: load
      secretRef: {{name: keys, key: tenant}}
  limits: {limits}
{budgets}"""

UNLIMITED = "{requests: {unlimited: true}}"


class NotStarted(Exception):
    """A part did not come up."""


class Proxy:
    """A proxy that runs."""

    def __init__(self, name, port, pid):
        self.name, self.address, self.pid = name, f"127.0.0.1:{port}", pid

    def cpu(self):
        """Seconds of CPU that the process took so far, all its threads: CLOCK_PROCESS_CPUTIME_ID of another process (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss(self):
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024


class Bench:
    """A mock upstream with all proxies before it. A context: what was started is ended with it."""

    def __init__(self, bin_dir, folder, parts=("nginx", "bare", "relay")):
        self.bin, self.folder, self.parts = bin_dir, folder, parts
        self.running = []

    def __enter__(self):
        self.folder.mkdir()
        try:
            self.upstream = self._printed_address("upstream", LOAD_CORE, [self.bin / "relay-bench", "upstream"])[0]
            starts = {"nginx": self._nginx, "bare": self._bare, "relay": self.relay}
            self.proxies = {name: starts[name]() for name in self.parts}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.terminate()
        for process in reversed(self.running):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def connects(self):
        """How many connections brought requests to the upstream so far."""
        with urllib.request.urlopen(f"http://{self.upstream}/_bench/connects", timeout=PATIENCE) as answer:
            return int(answer.read())

    def log(self, name):
        """What a part wrote to its standard error."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def start(self, name, core, command, **options):
        with open(self.folder / f"{name}.log", "wb") as log:
            command = ["taskset", "-c", str(core), *map(str, command)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, **options)
        self.running.append(process)
        return process

    def _printed_address(self, name, core, command):
        process = self.start(name, core, command, stdout=subprocess.PIPE, text=True)
        address = process.stdout.readline().strip()
        if not address:
            raise NotStarted(f"{name} did not start:\n{self.log(name)}")
        return address, process.pid

    def wait_for(self, name, process, is_up):
        deadline = time.monotonic() + PATIENCE
        while not is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{name} did not start:\n{self.log(name)}")
            time.sleep(0.02)

    def _nginx(self):
        port = free_port()
        conf = self.folder / "nginx.conf"
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        conf.write_text(NGINX.format(user=user, dir=self.folder, upstream=self.upstream, port=port))
        process = self.start("nginx", PROXY_CORE, ["nginx", "-e", "stderr", "-p", self.folder, "-c", conf], stdout=subprocess.DEVNULL)
        # The master listens before it has its worker, which is the process that relays.
        self.wait_for("nginx", process, lambda: answers(port) and children(process.pid))
        return Proxy("nginx", port, children(process.pid)[0])

    def _bare(self):
        address, pid = self._printed_address("bare", PROXY_CORE, [self.bin / "relay-bench", "bare", "--upstream", self.upstream])
        return Proxy("bare", address.split(":")[1], pid)

    def relay(self, name="relay", limits=UNLIMITED, budgets="", options=()):
        """Starts a relay whose tenant has these limits (YAML)."""
        port, admin = free_port(), free_port()
        manifests = self.folder / f"{name}-manifests"
        manifests.mkdir()
        (manifests / "bench.yaml").write_text(MANIFESTS.format(key=KEY, upstream=self.upstream, limits=limits, budgets=budgets))
        addresses = ["--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"]
        command = [self.bin / "relay-dataplane", "--manifests", manifests, *addresses, "--allow-cidr", "127.0.0.1", *options]
        process = self.start(name, PROXY_CORE, [*command, "--log-level", "warn", "--lame-duck", "0s", "--drain-timeout", "1s"], stdout=subprocess.DEVNULL)
        self.wait_for(name, process, lambda: answers(admin, "/readyz"))
        return Proxy(name, port, process.pid)


def children(pid):
    """Processes that the main thread of another started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port():
    """A port that nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port, path=None):
    """Whether somebody listens, and with a path, whether it answers 200."""
    try:
        if path is None:
            socket.create_connection(("127.0.0.1", port), 1).close()
        else:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
    except (OSError, urllib.error.URLError):
        return False
    return True
