"""`manage.py up`, started as a user starts it."""

import base64
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from config.stack.engine_processes import PROJECT
from config.stack.ports import free_port
from tests.up import (
    STOP_TIMEOUT_S,
    Up,
    assert_it_stops_cleanly,
    refuse,
    running,
    start,
    status_of,
    up_environment,
)
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with running() as up:
        yield up


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
    assert_it_stops_cleanly(up)


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
