#!/usr/bin/env python3
"""What the limits cost Redis: runs a redis-server of its own and prints, for each kind of call, microseconds of an EVALSHA (INFO commandstats),
CPU of the whole server for a call that came in a pipeline, and how many of them a core carries. Nothing but Python and redis-server is needed.

usage: e2e/bench/account.py [calls]
"""

import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time

LUA = pathlib.Path(__file__).parents[2] / "dataplane/src/limits/account/lua"
TENANTS = 100
BATCH = 64
DAY = int(time.time()) // 86400 * 86400
EDGES = [DAY - 86400, DAY, DAY + 86400, DAY + 2 * 86400]


class Redis:
    """A connection that knows as much of the protocol as is needed."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def command(*words):
        words = [str(word).encode() for word in words]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode()
        return int(rest) if kind == b":" else rest.decode()

    def call(self, *words):
        self.socket.sendall(self.command(*words))
        return self.reply()

    def pipeline(self, commands):
        replies = []
        for start in range(0, len(commands), BATCH):
            batch = commands[start : start + BATCH]
            self.socket.sendall(b"".join(batch))
            replies += [self.reply() for _ in batch]
        return replies

    def info(self, section, name):
        lines = self.call("INFO", section).splitlines()
        return next(line.split(":")[1] for line in lines if line.startswith(name + ":"))

    def cpu(self):
        return sum(float(self.info("cpu", f"used_cpu_{kind}")) for kind in ("user", "sys"))


def keys(tenant):
    return [4] + [f"relay:{{team/{tenant}}}:{part}" for part in ("state", "open", "held", "late")]


def window(field):
    return [field, "W", 430, 10**12, 0, *EDGES]


REQUESTS = ["requests", "b", 1, 10**9, 60, 10**9]
ALL = [*REQUESTS, "tokens", "B", 430, 10**9, 60, 10**9, "streams", "T", 1, 1000]
ALL += window("budget/day/tokens") + window("budget/other/tokens")
HELD = ["tokens", "streams", "budget/day/tokens", "budget/other/tokens"]


def used(amount):
    return [word for field in HELD for word in (field, 1 if field == "streams" else amount)]


def measure(redis, label, commands):
    redis.call("CONFIG", "RESETSTAT")
    before = redis.cpu()
    replies = redis.pipeline(commands)
    cpu = (redis.cpu() - before) / len(commands) * 1e6
    if any(reply[0] != 1 for reply in replies):
        raise RuntimeError(f"{label}: not every call did what it was to do")
    call = float(redis.info("commandstats", "cmdstat_evalsha").split("usec_per_call=")[1].split(",")[0])
    print(f"{label:48} {call:8.1f} us/EVALSHA {cpu:8.1f} us CPU {1e6 / cpu:10,.0f}/s a core", flush=True)


def bench(redis, calls):
    sha = redis.call("SCRIPT", "LOAD", "".join((LUA / f"{part}.lua").read_text() for part in ("account", "reservations")))
    ids = [secrets.token_hex(16) for _ in range(calls)]

    def commands(*words_of):
        named = enumerate(ids)
        return [Redis.command("EVALSHA", sha, *keys(i % TENANTS), *(w if w is not ID else x for w in words_of)) for i, x in named]

    measure(redis, "admit: requests", commands("admit", "", ID, 30, 0, *REQUESTS))
    measure(redis, "admit: requests, tokens, streams, 2 budgets", commands("admit", "", ID, 30, 1, *ALL))
    measure(redis, "refresh of one of them", commands("refresh", "", 30, 1, ID, 0, len(HELD), *used(200)))
    measure(redis, "settle of it", commands("settle", "", ID, *used(300)))
    some = ids[:100]
    redis.pipeline([Redis.command("EVALSHA", sha, *keys("x"), "admit", "", x, 30, 1, *ALL) for x in some])
    words = [word for x in some for word in (x, 0, len(HELD), *used(200))]
    measure(redis, "refresh of 100 at once", [Redis.command("EVALSHA", sha, *keys("x"), "refresh", "", 30, 100, *words)] * 50)
    memory = sum(redis.call("MEMORY", "USAGE", key) for key in keys("x")[1:4])
    print(f"{'memory of a request that runs':48} {memory / len(some):8.0f} bytes")


ID = object()


def main():
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        arguments = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder]
        server = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 30
            while not pathlib.Path(path).exists() and time.monotonic() < deadline and server.poll() is None:
                time.sleep(0.01)
            redis = Redis(path)
            print(f"Redis {redis.info('server', 'redis_version')}, {calls} calls of a kind, {TENANTS} tenants, {BATCH} in a pipeline")
            bench(redis, calls)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
