"""An engine for the length of one scenario: its own servers, a folder that is gone afterwards."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from config.stack import Stack
from config.stack.ready import Ready

# Empty rather than removed: `.env` would name them again.
EMBEDDED = {"DATABASE_URL": "", "CHAIN_DATABASE_URL": "", "REDIS_URL": ""}
# Flower switches the worker's task events on every few seconds, unless told otherwise.
NO_TASK_EVENTS = {"FLOWER_ENABLE_EVENTS": "false"}
LOCAL = {"ALLOWED_HOSTS": "127.0.0.1", "HTTPS": "false", "DEBUG": "false"}


@contextmanager
def running_engine(settings: Mapping[str, str]) -> Iterator[Ready]:
    """Changes this process's environment and its limit on open files. Raises StackError."""
    allow_many_sockets()
    os.environ.update({**EMBEDDED, **NO_TASK_EVENTS, **LOCAL, **settings})
    folder = Path(tempfile.mkdtemp(prefix="order-engine-bench-"))
    try:
        with Stack(data_dir=folder, port=0, flower_port=0, quiet=True) as ready:
            yield ready
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def allow_many_sockets() -> None:
    """Whatever the system lets us: each order's socket is an open file on both sides. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_seconds(ready: Ready) -> dict[str, float]:
    """What each process of the engine has used so far, with its children. A dead one counts as 0."""
    return {name: _cpu_seconds_of(pid) for name, pid in ready.pids.items() if name != "up"}


def busy_seconds() -> float:
    """CPU seconds that the whole machine has spent at work since it was started, stolen ones included."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0)


def _cpu_seconds_of(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        living = [child.cpu_times() for child in process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    ended = times.children_user + times.children_system
    return times.user + times.system + ended + sum(t.user + t.system for t in living)
