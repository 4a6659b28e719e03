"""Makes ratios of measurements, and a table and a JSON line of ratios."""

import json
from statistics import median

import limits
import measure

DISTURBED = 0.15


def ratio(rows, key, of, to):
    """The median of the ratios formed inside each repetition, with its bounds."""
    ratios = [row[of][key] / row[to][key] for row in rows if row[to][key]]
    if not ratios:
        return None
    middle = median(ratios)
    spread = (max(ratios) - min(ratios)) / middle if middle else 0.0
    return {"median": round(middle, 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3), "disturbed": spread > DISTURBED}


def of_scenario(rows):
    """What is reported of one scenario, by proxy."""
    summary = {}
    for proxy in rows[0]:
        entry = {"cpu_us": round(median(row[proxy]["cpu_us"] for row in rows), 3)}
        entry |= {f"cpu_to_{to}": ratio(rows, "cpu_us", proxy, to) for to in ("nginx", "bare") if to != proxy}
        entry |= {f"{key}_to_nginx": ratio(rows, f"{key}_us", proxy, "nginx") for key in ("p50", "p99") if proxy != "nginx"}
        entry |= {f"{key}_us": median(row[proxy][f"{key}_us"] for row in rows) for key in ("p50", "p99")}
        entry["connects_per_request"] = max(row[proxy]["connects_per_request"] for row in rows)
        entry |= {key: sum(row[proxy][key] for row in rows) for key in ("events", "requests", "errors", "lost")}
        summary[proxy] = entry
    return summary


def expected(name):
    """Events and requests that one measurement must have; `None`: as many as the window held."""
    given = measure.SCENARIOS[name]
    requests = given["clients"] * given["requests"]
    kind, *numbers = given["plan"].split(".")
    paced = kind == "stream" and numbers[1] != "0"
    return None if paced else requests * (int(numbers[0]) if kind == "stream" else 1), requests


def problems(results):
    """What went wrong, a line each."""
    for name, rows in results.items():
        for row in [rows] if name == "idle" else rows:
            for proxy, figures in row.items():
                where = f"{name} {proxy}"
                if figures["errors"] or figures["lost"]:
                    yield f"{where}: {figures['errors']} errors, {figures['lost']} events or end markers lost"
                elif name == "idle":
                    if figures["events"] != measure.IDLE_STREAMS:
                        yield f"{where}: {figures['events']} of {measure.IDLE_STREAMS} streams opened"
                else:
                    events, requests = expected(name)
                    whole = figures["events"] == events if events else figures["events"] > 0
                    if figures["requests"] != requests or not whole:
                        wanted = f"{events or 'some'} of {requests}"
                        yield f"{where}: {figures['events']} events of {figures['requests']} requests, expected {wanted}"


def cell(figure):
    if figure is None:
        return "-"
    return f"{figure['median']:.2f} ({figure['min']:.2f}-{figure['max']:.2f})" + (" disturbed" if figure["disturbed"] else "")


def print_table(summary):
    columns = "{:<9}{:<7}{:>8}  {:<29}{:<29}{:>7}{:>7}  {:<29}{:>12}"
    print(columns.format("scenario", "proxy", "CPU us", "CPU to nginx", "CPU to bare", "p50 us", "p99 us", "p99 to nginx", "connects/req"))
    for name, by_proxy in summary.items():
        for proxy in ("nginx", "bare", "relay"):
            entry = by_proxy[proxy]
            cells = [cell(entry.get(key)) for key in ("cpu_to_nginx", "cpu_to_bare")]
            times = [f"{entry[key]:.0f}" if entry[key] else "-" for key in ("p50_us", "p99_us")]
            connects = f"{entry['connects_per_request']:.4f}"
            print(columns.format(name, proxy, f"{entry['cpu_us']:.2f}", *cells, *times, cell(entry.get("p99_to_nginx")), connects))


def print_all(results, seed):
    """Prints everything. True: no errors, nothing lost."""
    limited = results.pop("limits", None)
    idle = results.get("idle")
    summary = {name: of_scenario(rows) for name, rows in results.items() if name != "idle"}
    if summary:
        print_table(summary)
    if idle:
        print("resident memory of an idle stream: " + ", ".join(f"{name} {row['bytes'] / 1024:.1f} KiB" for name, row in idle.items()))
    wrong = list(problems(results))
    line = {"scenarios": summary, "seed": seed, "problems": wrong}
    if limited:
        line["limits"] = limits.summary(limited)
        limits.print_table(line["limits"])
        wrong += limits.problems(limited)
    for problem in wrong:
        print(f"WRONG {problem}")
    if idle:
        line["rss_per_idle_stream"] = {name: round(row["bytes"]) for name, row in idle.items()}
    print(json.dumps(line, separators=(",", ":")))
    return not wrong
