"""What limits in Redis add to a request: the same relay without limits, with a requests limit, with all kinds of them."""

import subprocess
from statistics import median

import measure
import proxies
import report

# Clients that one core serves without a queue: what is added to a request is seen, not how long it waits for the others.
PLAN = {"plan": "json", "clients": 4, "warmup": 200, "requests": 2000}
RATE = "{amount: 1000000000, per: Second}"
VARIANTS = {
    "none": {},
    "requests": {"limits": f"{{requests: {RATE}}}"},
    "all": {
        "limits": f"{{requests: {RATE}, tokens: {RATE}, streams: {{max: 1000000}}}}",
        "budgets": "  budgets:\n"
        "    - {name: day, unit: Tokens, amount: 1000000000000000, per: Day}\n"
        "    - {name: month, unit: Requests, amount: 1000000000000000, per: Month}\n",
    },
}


class Redis:
    """A redis-server on the load's core, without persistence."""

    def __init__(self, bench):
        self.port = proxies.free_port()
        options = ["--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", bench.folder]
        process = bench.start("redis", proxies.LOAD_CORE, ["redis-server", *options], stdout=subprocess.DEVNULL)
        bench.wait_for("redis", process, lambda: proxies.answers(self.port))

    def info(self, section):
        """A section of INFO as text pairs."""
        command = ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), "INFO", section]
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return dict(line.split(":", 1) for line in text.split() if ":" in line)

    def scripts(self):
        """Scripts that were run so far, and the microseconds of Redis' core that they took."""
        told = self.info("commandstats").get("cmdstat_evalsha", "calls=0,usec=0")
        fields = dict(pair.split("=") for pair in told.split(","))
        return int(fields["calls"]), float(fields["usec"])


def run(bin_dir, folder, repetitions, chance):
    """Repetitions of all variants in random order: a list of {variant: measurement}."""
    rows = []
    with proxies.Bench(bin_dir, folder, parts=()) as bench:
        redis = Redis(bench)
        url = ["--redis-url", f"redis://127.0.0.1:{redis.port}"]
        relays = [bench.relay(name, options=url, **limits) for name, limits in VARIANTS.items()]
        for number in range(1, repetitions + 1):
            chance.shuffle(relays)
            rows.append({relay.name: once(bench, redis, relay) for relay in relays})
            shown = ", ".join(f"{name} {rows[-1][name]['cpu_us']:.1f} us" for name in VARIANTS)
            measure.say(f"limits {number}/{repetitions}: {shown}")
    return rows


def once(bench, redis, relay):
    """One measurement of one variant."""
    figures, (begin, end) = measure.load(bench, relay, lambda: (relay.cpu(), *redis.scripts()), **PLAN)
    requests = max(figures["requests"], 1)
    calls = end[1] - begin[1]
    return {
        "cpu_us": (end[0] - begin[0]) / requests * 1e6,
        "round_trips": calls / requests,
        "redis_us": (end[2] - begin[2]) / calls if calls else 0.0,
        **{key: figures[key] for key in ("requests", "errors", "lost", "p50_us", "p99_us")},
    }


def problems(rows):
    """What went wrong, a line each."""
    wanted = PLAN["clients"] * PLAN["requests"]
    for row in rows:
        for name, figures in row.items():
            if figures["errors"] or figures["lost"] or figures["requests"] != wanted:
                yield f"limits {name}: {figures['requests']} of {wanted} requests, {figures['errors']} errors, {figures['lost']} lost"


def summary(rows):
    """By variant: medians, and the differences to no limits inside each repetition."""
    told = {}
    for name in VARIANTS:
        of = lambda key: median(row[name][key] for row in rows)  # noqa: E731
        added = lambda key: median(row[name][key] - row["none"][key] for row in rows)  # noqa: E731
        told[name] = {key: round(of(key), 2) for key in ("cpu_us", "p50_us", "p99_us", "round_trips", "redis_us")}
        told[name]["cpu_to_none"] = report.ratio(rows, "cpu_us", name, "none")
        told[name] |= {f"added_{key}": round(added(key), 1) for key in ("cpu_us", "p50_us", "p99_us")}
    return told


def print_table(told):
    columns = "{:<9}{:>8}  {:<29}{:>9}{:>9}{:>10}{:>10}{:>13}{:>10}"
    print(columns.format("limits", "CPU us", "CPU to none", "p50 us", "p99 us", "added p50", "added p99", "round trips", "Redis us"))
    for name, entry in told.items():
        figures = [f"{entry[key]:.0f}" for key in ("p50_us", "p99_us", "added_p50_us", "added_p99_us")]
        print(columns.format(name, f"{entry['cpu_us']:.1f}", report.cell(entry["cpu_to_none"]), *figures, f"{entry['round_trips']:.3f}", f"{entry['redis_us']:.1f}"))
