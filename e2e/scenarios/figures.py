"""Figures that a run measures: printed at its end, and written to the file that RELAY_FIGURES names."""

import json
import math
import os

FOUND = {}


def say(name, value):
    """Notes a figure."""
    FOUND[name] = value


def quantile(numbers, share):
    """The smallest of the numbers that this share of them does not exceed."""
    return sorted(numbers)[math.ceil(share * len(numbers)) - 1]


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
