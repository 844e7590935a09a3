"""An engine for the length of one run: its own servers, a folder that is gone afterwards."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.stack import Stack
from config.stack.engine_processes import PROJECT
from config.stack.ready import Ready

# Empty rather than removed: `.env` would name them again.
EMBEDDED = {"DATABASE_URL": "", "CHAIN_DATABASE_URL": "", "REDIS_URL": ""}
# Flower switches the worker's task events on every few seconds, unless told otherwise.
NO_TASK_EVENTS = {"FLOWER_ENABLE_EVENTS": "false"}
LOCAL = {
    "ALLOWED_HOSTS": "127.0.0.1",
    "HTTPS": "false",
    "DEBUG": "false",
    # Guards nothing: the engine ends with the run, and listens on this machine only.
    "SECRET_KEY": "of-a-benchmark",
}
LOOK_EVERY_S = 0.25
# The others' memory is PostgreSQL's to share and Redis's to bound.
OURS = ("web", "stream", "worker")


@dataclass(frozen=True)
class Engine:
    ready: Ready
    folder: Path

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python as one of this engine's own processes, in the project's folder."""
        return subprocess.run(
            [sys.executable, *words],
            cwd=PROJECT,
            env={
                **os.environ,
                "DATA_DIR": str(self.folder),
                "DJANGO_SETTINGS_MODULE": "config.settings",
            },
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def running_engine(settings: Mapping[str, str]) -> Iterator[Engine]:
    """Changes this process's environment and its limit on open files. Raises StackError."""
    allow_many_sockets()
    os.environ.update({**EMBEDDED, **NO_TASK_EVENTS, **LOCAL, **settings})
    folder = Path(tempfile.mkdtemp(prefix="order-engine-bench-"))
    try:
        with Stack(data_dir=folder, port=0, flower_port=0, quiet=True) as ready:
            yield Engine(ready=ready, folder=folder)
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


@contextmanager
def watching_memory(ready: Ready) -> Iterator[dict[str, float]]:
    """The most that each of our processes held so far, in MiB, its children included."""
    peaks = {name: 0.0 for name in OURS if name in ready.pids}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_EVERY_S):
            for name, peak in peaks.items():
                peaks[name] = max(peak, resident_bytes(ready.pids[name]) / 2**20)

    watcher = threading.Thread(target=watch, name="watch-memory", daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()


def resident_bytes(pid: int) -> int:
    """0 for one that is dead."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(each.memory_info().rss for each in family)
    except psutil.NoSuchProcess:
        return 0


def _cpu_seconds_of(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        living = [child.cpu_times() for child in process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    ended = times.children_user + times.children_system
    return times.user + times.system + ended + sum(t.user + t.system for t in living)
