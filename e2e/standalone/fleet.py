"""Several relays that share limits in one Redis, and the manifests of tenants with limits."""

import contextlib
import hashlib
import os
import pathlib
import re
import subprocess

import httpx
from conftest import ROOT, answers, free_port, until

NAMESPACE = "limits"
ROUTE = "provider"


def key_of(tenant: str) -> str:
    return f"{tenant}-tenant-key-not-a-secret"


def tenant(name: str, limits: str, more: str = "") -> str:
    """A RelayTenant. `limits` is what stands between the braces of spec.limits; requests are unlimited unless it says otherwise."""
    if "requests:" not in limits:
        limits = f"requests: {{unlimited: true}}{', ' if limits else ''}{limits}"
    return f"""---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayTenant
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  apiKeys: [{{name: main, sha256: {hashlib.sha256(key_of(name).encode()).hexdigest()}}}]
  limits: {{{limits}}}
{more}"""


def route(provider_port: int, provider: str = "OpenAI", prefix: str = "/v1", name: str = ROUTE, more: str = "") -> str:
    """A Secret and a RelayRoute for all tenants of the namespace."""
    return f"""---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {NAMESPACE}}}
stringData: {{key: provider-key-not-a-secret}}
---
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  matches: [{{path: {{prefix: {prefix}}}}}]
  backends:
    - name: provider
      provider: {provider}
      url: http://127.0.0.1:{provider_port}
      allowPlaintext: true
      credential: {{secretRef: {{name: {name}, key: key}}}}
{more}"""


def write(folder: pathlib.Path, *objects: str) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    (folder / "limits.yaml").write_text("".join(objects))
    return folder


def request(tenant: str, method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """The bytes of a request with this tenant's key."""
    lines = [f"{method} {path} HTTP/1.1", "host: relay", f"authorization: Bearer {key_of(tenant)}", *headers]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def cheap(tenant: str) -> bytes:
    """The request that costs relay and provider least; it counts as one."""
    return request(tenant, "GET", "/v1/models")


class Relay:
    """One proxy."""

    def __init__(self, command, log: pathlib.Path, env=None):
        self.port, self.admin_port = free_port(), free_port()
        self.url, self.admin = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.admin_port}"
        self.log = log
        addresses = ["--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin_port}"]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, *addresses], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}
            )

    def output(self) -> str:
        return self.log.read_text()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.output()
        return answers(f"{self.admin}/readyz")

    def limits_mode(self) -> str:
        """What its admin port says of its limits: shared, local, none."""
        return httpx.get(f"{self.admin}/revision", timeout=10).json()["limits"]["mode"]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def metric(self, name: str, **labels) -> float:
        """The sum of a metric's samples that have these labels."""
        total = 0.0
        for line in httpx.get(f"{self.admin}/metrics", timeout=10).text.splitlines():
            found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if found and all(f'{label}="{value}"' in (found[1] or "") for label, value in labels.items()):
                total += float(found[2])
        return total


@contextlib.contextmanager
def fleet(program: pathlib.Path, folder: pathlib.Path, manifests: pathlib.Path, count: int, *arguments, envs=()):
    """So many proxies of one program with the same manifests; those of `envs`, one for each, go over the environment. Killed at the end."""
    command = [program, "--manifests", manifests, "--allow-cidr", "127.0.0.0/8", "--lame-duck", "0s", "--replicas", str(count)]
    command += ["--log-level", "warn,relay::request=off", *arguments]
    relays = []
    try:
        for number in range(count):
            relays.append(Relay(command, folder / f"relay-{len(list(folder.iterdir()))}.log", envs[number] if envs else None))
        for relay in relays:
            until(relay.is_ready, f"a relay at {relay.url}", 60, last=relay.output)
        yield relays
    finally:
        for relay in relays:
            relay.kill()


def until_shared(relays, seconds=30.0):
    """Until each decides in Redis."""
    until(lambda: all(relay.limits_mode() == "shared" for relay in relays), "limits that are shared", seconds, last=lambda: relays[0].output()[-2000:])


def used(redis, tenant: str, budget: str) -> int:
    """What a tenant has used of a budget, which is named with its unit: `all/tokens`."""
    state = redis.call("HGET", f"relay:{{{NAMESPACE}/{tenant}}}:state", f"budget/{budget}")
    return int(state.split()[1]) if state else 0


def is_settled(redis, *tenants) -> bool:
    """Whether no reservation of these tenants is open."""
    return all(redis.call("ZCARD", f"relay:{{{NAMESPACE}/{tenant}}}:open") == 0 for tenant in tenants)


def dynamic(programs: pathlib.Path) -> pathlib.Path:
    """A relay that loads the C library: the static ones, which go into the images, would take no other clock."""
    program = programs / "relay-dataplane"
    if b"ld-linux" in program.read_bytes()[:4096]:
        return program
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--package", "relay-dataplane"], check=True, cwd=ROOT)
    told = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"], check=True, cwd=ROOT, capture_output=True, text=True)
    return pathlib.Path(re.search(r'"target_directory":"([^"]*)"', told.stdout)[1]) / "debug/relay-dataplane"
