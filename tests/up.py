"""`manage.py up` for tests: started, and refused, as a user meets it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from config.stack.engine_processes import PROJECT
from config.stack.ports import free_port
from tests.waiting import wait_until

NAMED_BY_THE_TESTS = ("DATABASE_URL", "CHAIN_DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DATA_DIR")
PORTS = ("PORT", "STREAM_PORT", "FLOWER_PORT")
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 15


@dataclass
class Up:
    process: subprocess.Popen[bytes]
    data_dir: Path

    @property
    def ready(self) -> dict[str, Any]:
        return json.loads((self.data_dir / "ready.json").read_text())

    @property
    def output(self) -> str:
        return (self.data_dir / "output").read_text()


def up_environment(data_dir: Path, **changes: str) -> dict[str, str]:
    """What a new user has: none of the engine's variables but these."""
    env = {name: value for name, value in os.environ.items() if name not in NAMED_BY_THE_TESTS}
    ports = {name: str(free_port()) for name in PORTS}
    return env | {"DATA_DIR": str(data_dir)} | ports | changes


def start(env: dict[str, str]) -> Up:
    data_dir = Path(env["DATA_DIR"])
    with (data_dir / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=PROJECT,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    up = Up(process=process, data_dir=data_dir)
    try:
        wait_until(
            lambda: "The engine is ready." in up.output or process.poll() is not None,
            timeout_s=START_TIMEOUT_S,
        )
        assert process.poll() is None, up.output
    except BaseException:
        process.terminate()
        process.wait(timeout=STOP_TIMEOUT_S)
        raise
    return up


@contextmanager
def running(**changes: str) -> Iterator[Up]:
    """One in a folder of its own, stopped at the end."""
    # Not tmp_path: root's servers run as another account, which can't reach that.
    data_dir = Path(tempfile.mkdtemp(prefix="order-engine-up-"))
    data_dir.chmod(0o711)
    try:
        up = start(up_environment(data_dir, **changes))
        try:
            yield up
        finally:
            up.process.terminate()
            up.process.wait(timeout=STOP_TIMEOUT_S)
    finally:
        shutil.rmtree(data_dir)


def refuse(env: dict[str, str]) -> str:
    """Run `up`, expect it to refuse, and return the one sentence that it said."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def status_of(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as r:
            return r.status
    except urllib.error.HTTPError as answer:
        return answer.code


def assert_it_stops_cleanly(up: Up) -> None:
    """All of it, in time, and nobody had to be killed."""
    processes = [psutil.Process(pid) for pid in up.ready["pids"].values()]
    processes += psutil.Process(up.process.pid).children(recursive=True)
    started_at = time.monotonic()
    up.process.terminate()
    assert up.process.wait(timeout=STOP_TIMEOUT_S) == 0
    assert time.monotonic() - started_at < STOP_TIMEOUT_S
    assert not [process for process in processes if process.is_running()]
    assert not (up.data_dir / "ready.json").exists()
    assert "and was killed" not in up.output
