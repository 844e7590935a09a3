"""`manage.py up`, started as a user starts it."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from config.stack.engine_processes import PROJECT
from config.stack.ports import free_port
from tests.waiting import wait_until

NAMED_BY_THE_TESTS = ("DATABASE_URL", "CHAIN_DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DATA_DIR")
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
    ports = {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
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


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    # Not tmp_path: root's servers run as another account, which can't reach that.
    data_dir = Path(tempfile.mkdtemp(prefix="order-engine-up-"))
    data_dir.chmod(0o711)
    up = start(up_environment(data_dir))
    yield up
    up.process.terminate()
    up.process.wait(timeout=STOP_TIMEOUT_S)
    shutil.rmtree(data_dir)


def test_ready_json_is_complete_and_private(up: Up) -> None:
    assert stat.S_IMODE((up.data_dir / "ready.json").stat().st_mode) == 0o600
    fields = "url wsUrl flowerUrl adminUrl apiKey adminUser adminPassword databaseUrl redisUrl pids"
    assert {*fields.split(), "chainDatabaseUrl"} <= {
        key for key, value in up.ready.items() if value
    }
    assert {*up.ready["pids"]} == {"up", "postgres", "redis", "web", "worker", "beat", "flower"}
    assert all(psutil.pid_exists(pid) for pid in up.ready["pids"].values())


def test_every_address_answers(up: Up) -> None:
    ready = up.ready
    assert status_of(f"{ready['url']}/ready") == 200
    bearer = f"Bearer {ready['apiKey']}"
    assert status_of(f"{ready['url']}/api/orders", Authorization=bearer) == 200
    assert status_of(ready["adminUrl"]) == 200
    login = base64.b64encode(f"{ready['flowerUser']}:{ready['flowerPassword']}".encode()).decode()
    assert status_of(ready["flowerUrl"]) == 401
    assert status_of(ready["flowerUrl"], Authorization=f"Basic {login}") == 200
    for url in (ready["databaseUrl"], ready["chainDatabaseUrl"]):
        psycopg.connect(url, connect_timeout=5).close()


def test_the_admin_can_log_in_with_the_password_that_was_told(up: Up) -> None:
    ask = (
        "from django.contrib.auth import authenticate as a; import os; "
        "print('admin is', a(username='admin', password=os.environ['TOLD']))"
    )
    # The settings find the database through ready.json: nothing else names it here.
    env = up_environment(up.data_dir, TOLD=up.ready["adminPassword"], SECRET_KEY="any")
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", ask],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "admin is admin" in done.stdout


def test_no_password_stands_on_a_command_line(up: Up) -> None:
    secrets = [
        *(up.ready[name] for name in ("apiKey", "adminPassword", "flowerPassword")),
        *(re.findall(r":([^:@/]+)@", up.ready["databaseUrl"] + up.ready["redisUrl"])),
    ]
    for pid in up.ready["pids"].values():
        words = psutil.Process(pid).cmdline()
        assert not any(secret in word for secret in secrets for word in words)


def test_the_printed_lines_work_as_pasted(up: Up, tmp_path: Path) -> None:
    lines = up.output.splitlines()
    submit = next(line for line in lines if line.startswith("curl "))
    watch = next(line for line in lines if " -m websockets " in line)
    watching_path = tmp_path / "watching"
    with watching_path.open("wb") as output:
        # Its input stays open, as a terminal's would.
        watching = subprocess.Popen(
            ["bash", "-c", watch],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "Connected to" in watching_path.read_text(), timeout_s=30)
        answer = subprocess.run(
            ["bash", "-c", submit], cwd=tmp_path, capture_output=True, timeout=30, check=True
        )
        order = json.loads(answer.stdout)
        assert order["status"] == "pending"
        events = [r'"orderId":"' + order["orderId"], '"status":"confirmed"']
        wait_until(lambda: all(word in watching_path.read_text() for word in events), timeout_s=30)
    finally:
        os.killpg(watching.pid, signal.SIGKILL)
        watching.wait()


@pytest.mark.parametrize("name", ["worker", "redis", "postgres"])
def test_a_killed_process_is_restarted_and_said_so(up: Up, name: str) -> None:
    killed = up.ready["pids"][name]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: up.ready["pids"][name] != killed, timeout_s=30)
    assert f"{name} was killed by SIGKILL; restarting it in" in up.output
    assert psutil.pid_exists(up.ready["pids"][name])
    wait_until(lambda: status_of(f"{up.ready['url']}/ready") == 200, timeout_s=60)


def test_a_second_one_on_the_same_folder_is_refused(up: Up) -> None:
    assert "already runs on" in refuse(up_environment(up.data_dir))
    assert (up.data_dir / "ready.json").exists()


def test_sigterm_stops_all_of_it_in_time(up: Up) -> None:
    processes = [psutil.Process(pid) for pid in up.ready["pids"].values()]
    processes += psutil.Process(up.process.pid).children(recursive=True)
    started_at = time.monotonic()
    up.process.terminate()
    assert up.process.wait(timeout=STOP_TIMEOUT_S) == 0
    assert time.monotonic() - started_at < STOP_TIMEOUT_S
    assert not [process for process in processes if process.is_running()]
    assert not (up.data_dir / "ready.json").exists()
    assert "and was killed" not in up.output


def test_what_was_made_is_kept_for_the_next_run_even_after_a_kill(reachable_dir: Path) -> None:
    env = up_environment(reachable_dir)
    first = start(env)
    kept = {name: first.ready[name] for name in ("apiKey", "adminPassword", "flowerPassword")}
    first.process.kill()
    first.process.wait()
    # At once, on the same ports: it waits for what the killed one left to be stopped.
    second = start(env)
    try:
        assert {name: second.ready[name] for name in kept} == kept
    finally:
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(timeout=STOP_TIMEOUT_S) == 0


@pytest.mark.parametrize("variable", ["PORT", "FLOWER_PORT"])
def test_a_taken_port_is_told_in_a_sentence(reachable_dir: Path, variable: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = refuse(up_environment(reachable_dir, **{variable: str(port)}))
    assert sentence == (
        f"Port {port} is taken: stop the program that uses it, or set {variable} to another number."
    )


def test_a_port_that_is_no_number_is_told_in_a_sentence(reachable_dir: Path) -> None:
    sentence = refuse(up_environment(reachable_dir, PORT="http"))
    assert sentence == "PORT must be a number from 1 to 65535, not 'http'."


def test_an_unwritable_folder_is_told_in_a_sentence(reachable_dir: Path) -> None:
    # A file where a folder should be: root may write everywhere else.
    (reachable_dir / "file").touch()
    sentence = refuse(up_environment(reachable_dir / "file" / "data"))
    assert re.search(r"data folder .* can't be written .* set DATA_DIR", sentence)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("DATABASE_URL", "postgresql://user:hidden@127.0.0.1:{port}/orders"),
        ("CHAIN_DATABASE_URL", "postgresql://user:hidden@127.0.0.1:{port}/chain"),
        ("REDIS_URL", "redis://:hidden@127.0.0.1:{port}/0"),
    ],
)
def test_an_unreachable_server_is_told_in_a_sentence(
    reachable_dir: Path, variable: str, url: str
) -> None:
    env = up_environment(reachable_dir, **{variable: url.format(port=free_port())})
    sentence = refuse(env)
    assert re.search(rf"that {variable} names can't be reached: .*refused", sentence)
    assert "hidden" not in sentence
