"""Waiting for conditions: always with a bound, and in the end with what was waited for and what was seen instead."""

import time

import httpx


class NotYet(Exception):
    """A condition does not hold yet. Its text is what was seen instead."""


def until(what, probe, within=30.0, every=0.05):
    """Calls `probe` until it returns rather than raising NotYet (or losing its connection), and returns what it returned."""
    end = time.monotonic() + within
    while True:
        try:
            return probe()
        except NotYet as seen:
            last = str(seen)
        except httpx.TransportError as error:
            last = f"{type(error).__name__}: {error}"
        if time.monotonic() >= end:
            raise AssertionError(f"waited {within:.0f} s in vain for: {what}; last seen: {last}")
        time.sleep(every)


def until_true(what, probe, within=30.0, every=0.05):
    """The same for a probe that returns whether it holds."""

    def check():
        if not probe():
            raise NotYet("it does not hold")

    until(what, check, within, every)
