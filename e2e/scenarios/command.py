"""The programs that users have: kubectl and helm. A missing one is a failure that names the cure."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
CLUSTER = TOP / "e2e" / "cluster"


def run(*args, stdin=None, check=True, within=60.0):
    """Runs a program and returns its CompletedProcess with texts. With `check`, a failure shows what it said."""
    program = str(args[0])
    if shutil.which(program) is None:
        pytest.fail(f"no {program} here: start the tests with e2e/scenarios/run, or put {program} into PATH")
    done = subprocess.run(
        [str(arg) for arg in args], input=stdin, capture_output=True, text=True, timeout=within, check=False, env=os.environ
    )
    if check and done.returncode != 0:
        line = " ".join(str(arg) for arg in args)
        raise AssertionError(f"`{line}` failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done


def kubectl(*args, **options):
    """Runs kubectl against the cluster of KUBECONFIG."""
    return run("kubectl", *args, **options)


def helm(*args, **options):
    """Runs helm against the cluster of KUBECONFIG."""
    return run("helm", *args, **options)


def cluster(script, *args, **options):
    """Runs a script of e2e/cluster: for the tests that need the node."""
    return run(CLUSTER / script, *args, **options)
