"""Figures that a run measures: printed at its end, and written to the file that RELAY_FIGURES names."""

import json
import os

FOUND = {}


def say(name, value):
    """Notes a figure."""
    FOUND[name] = value


def quantile(numbers, share):
    """The number below which this share of them lies."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(seconds):
    """p50, p99 and the greatest of times, in words."""
    p50, p99, most = (1000 * value for value in (quantile(seconds, 0.5), quantile(seconds, 0.99), max(seconds)))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms (n = {len(seconds)})"


def write():
    """Writes them where RELAY_FIGURES says."""
    if os.environ.get("RELAY_FIGURES"):
        with open(os.environ["RELAY_FIGURES"], "w", encoding="utf-8") as file:
            json.dump(FOUND, file, indent=2)
            file.write("\n")
