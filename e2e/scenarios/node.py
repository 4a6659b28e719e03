"""The node itself: the processes of its pods. Only where the tests run on the node, as root, in its PID namespace."""

import contextlib
import os
import signal
from pathlib import Path

from command import cluster
from wait import NotYet, until

CURE = "run the tests with e2e/scenarios/run as root on the node, or leave these out: -m 'not node'"


def _cgroups(pid):
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:  # gone meanwhile
        return ""


def _program(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")  # not its command line, which redis-server writes over
    except OSError:
        return ""


def processes(pod_uid, program):
    """The pids of a program in a pod. A pod's cgroup has its uid in its name, by the systemd driver with underscores."""
    marks = (f"pod{pod_uid}", f"pod{pod_uid.replace('-', '_')}")
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if any(mark in _cgroups(pid) for mark in marks) and _program(pid).endswith(program)]


def process(pod_uid, program):
    """The one process of a program in a pod."""

    def probe():
        found = processes(pod_uid, program)
        if len(found) != 1:
            raise NotYet(f"{len(found)} such processes on this machine; {CURE}")
        return found[0]

    return until(f"the process of {program} in pod {pod_uid}", probe, within=15)


def kill(pod_uid, program):
    """Kills a pod's program with SIGKILL, and returns when it is gone. Returns its pid."""
    pid = process(pod_uid, program)
    os.kill(pid, signal.SIGKILL)

    def gone():
        if pid in processes(pod_uid, program):
            raise NotYet(f"pid {pid} is there")

    until(f"{program} to be gone", gone, within=5)
    return pid


@contextlib.contextmanager
def hanging(pod_uid, program):
    """Stops a pod's program with SIGSTOP, as one that hangs; it goes on afterwards."""
    pid = process(pod_uid, program)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def resident_mib(pid):
    """Resident memory of a process, in MiB: all of it, and the part that is not mapped from files."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))


def kill_api_server():
    """Kills the API server with SIGKILL."""
    cluster("kill-apiserver")


def start_api_server():
    """Starts it again, and returns when it answers."""
    cluster("start-apiserver", within=90)
