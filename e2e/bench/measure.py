"""Puts a scenario's load on each proxy and reads the proxy's clock at both ends of the window."""

import json
import subprocess
import sys

import proxies

# Of open files: 1000 streams have two sockets each in a proxy.
FILES = 8192
IDLE_STREAMS = 1000
GAP_MS, WINDOW_MS, PACED = 20, 3500, 300
# Streams of S3 run from before the window (one more starts each millisecond, then 20 gaps of rest) till behind it.
PACED_EVENTS = (PACED + 20 * GAP_MS + WINDOW_MS) // GAP_MS + 25

# plan, clients, and per client requests before and in the window
SCENARIOS = {
    "S1": {"plan": "json", "clients": 64, "warmup": 20, "requests": 300},
    "S2": {"plan": "stream.100.0", "clients": 64, "warmup": 5, "requests": 120},
    "S3": {"plan": f"stream.{PACED_EVENTS}.{GAP_MS}", "clients": PACED, "warmup": 2, "requests": 1, "window": WINDOW_MS},
}


class Failed(Exception):
    """The load generator gave no figures."""


def load(bench, proxy, sample, **options):
    """Runs the load generator; its figures, and what `sample` gave at the window's begin and end."""
    command = ["taskset", "-c", str(proxies.LOAD_CORE), bench.bin / "relay-bench", "load"]
    for name, value in {"proxy": proxy.address, "key": proxies.KEY, **options}.items():
        command += [f"--{name}", str(value)]
    samples = []
    # The generator bounds itself in time (--limit), so that reading from it ends.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            for mark in ("begin", "end"):
                if process.stdout.readline().strip() != mark:
                    break
                samples.append(sample())
                process.stdin.write("go\n")
                process.stdin.flush()
            output = process.stdout.read()
        except BaseException:
            process.kill()
            raise
    if process.returncode or len(samples) < 2:
        raise Failed(f"no figures of {proxy.name}; its log:\n{bench.log(proxy.name)}")
    return json.loads(output), samples


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def once(bench, proxy, name):
    """One measurement: CPU per event in microseconds, latencies, and what went wrong."""
    options = SCENARIOS[name]
    figures, (begin, end) = load(bench, proxy, lambda: (bench.connects(), proxy.cpu()), **options)
    events = max(figures["events"], 1)
    return {
        "cpu_us": (end[1] - begin[1]) / events * 1e6,
        "connects_per_request": (end[0] - begin[0]) / max(figures["requests"], 1),
        **{key: figures[key] for key in ("events", "requests", "errors", "lost", "p50_us", "p99_us", "seconds")},
    }


def scenario(bench, name, repetitions, chance):
    """Repetitions of all proxies in random order: a list of {proxy: measurement}."""
    rows = []
    for number in range(1, repetitions + 1):
        order = list(bench.proxies.values())
        chance.shuffle(order)
        rows.append({proxy.name: once(bench, proxy, name) for proxy in order})
        shown = ", ".join(f"{key} {row['cpu_us']:.2f} us" for key, row in sorted(rows[-1].items()))
        say(f"{name} {number}/{repetitions}: {shown}")
    return rows


def idle(bench):
    """Resident bytes of a silent stream in each proxy."""
    results = {}
    for proxy in bench.proxies.values():
        # Requests before, so that what a first request brings into memory is not the streams'.
        figures, (begin, end) = load(bench, proxy, proxy.rss, plan="silent", clients=IDLE_STREAMS, warmup=50)
        results[proxy.name] = {"bytes": (end - begin) / IDLE_STREAMS, **{key: figures[key] for key in ("errors", "lost", "events")}}
        say(f"idle: {proxy.name} {results[proxy.name]['bytes'] / 1024:.1f} KiB a stream")
    return results
