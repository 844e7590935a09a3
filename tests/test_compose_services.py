"""Each service of docker-compose.yml, run outside Docker: its own command, environment and health check.

Only what Docker would give is replaced: the names of hosts, published ports, mounted folders. The code is a copy of
the image's build context, so that what the image lacks is missing here too. The proxy is whichever nginx is on PATH;
without one (`.ci/run` brings one), what needs it is skipped.
"""

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import connect

from config.stack.ports import free_port
from config.stack.server_binaries import find_postgres, find_redis
from tests.compose import SECRETS, copy_context, image_environment, load_compose, proxy_conf
from tests.embedded import drop_database
from tests.nginx import has_nginx, needs_nginx, on_this_machine
from tests.stream.client import ORDER
from tests.waiting import wait_until

BUILT_HERE = ("web", "stream", "worker", "beat", "flower")
STARTED = (*BUILT_HERE, "proxy") if has_nginx else BUILT_HERE
START_TIMEOUT_S = 90


class Project:
    """All services of the file, with what replaces Docker's part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services: dict[str, dict[str, Any]] = load_compose(SECRETS)["services"]
        self.database = f"compose_{secrets.token_hex(4)}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.code, self.data, self.tmp, self.programs = (
            folder / name for name in ("engine", "data", "tmp", "programs")
        )
        for path in (self.code, self.data, self.tmp, self.programs):
            path.mkdir()
        copy_context(self.code)
        named = urlsplit(os.environ["DATABASE_URL"])
        as_postgres = self.services["postgres"]["environment"]
        self.ports = {name: str(free_port()) for name in ("8000", "8001", "8080", "5555")}
        redis_port = free_port()
        # Both ends of a connection must name the same user, password and database.
        self.hosts = {
            f"{as_postgres['POSTGRES_USER']}:{as_postgres['POSTGRES_PASSWORD']}@postgres:5432/"
            f"{as_postgres['POSTGRES_DB']}": f"{named.netloc}/{self.database}",
            f":{self.services['redis']['environment']['REDIS_PASSWORD']}@redis:6379": (
                f":{SECRETS['REDIS_PASSWORD']}@127.0.0.1:{redis_port}"
            ),
        }
        self.postgres_port = str(named.port or 5432)
        self.proxy_conf = folder / "proxy.conf"
        self.proxy_conf.write_text(on_this_machine(proxy_conf(), ports=self.ports, tmp=self.tmp))
        self._make_programs(redis_port)

    def _make_programs(self, redis_port: int) -> None:
        """This Python, and `redis-server` and `redis-cli` that differ from the real ones by their port."""
        server = find_redis()
        client = next(
            path
            for path in (server.with_name("redis-cli"), shutil.which("redis-cli"))
            if path and Path(path).exists()
        )
        here = f"--bind 127.0.0.1 --port {redis_port} --dir {shlex.quote(str(self.tmp))}"
        python = Path(sys.executable).absolute()  # the link inside a virtual environment
        for name, line in {
            "python": f'{shlex.quote(str(python))} "$@"',
            "redis-server": f'{shlex.quote(str(server))} "$@" {here}',
            "redis-cli": f'{shlex.quote(str(client))} -p {redis_port} "$@"',
        }.items():
            (self.programs / name).write_text(f"#!/bin/sh\nexec {line}\n")
            (self.programs / name).chmod(0o755)

    def environment(self, name: str) -> dict[str, str]:
        """The image's, the file's, and nothing of this process's but the search path."""
        service = self.services[name]
        env = (
            {**image_environment(), **service["environment"]}
            if name not in ("postgres", "redis", "proxy")
            else service["environment"]
        )
        for inside, outside in self.hosts.items():
            env = {key: value.replace(inside, outside) for key, value in env.items()}
        if "DATA_DIR" in env:
            env["DATA_DIR"] = str(self.data)
        paths = [str(self.programs), str(find_postgres(major=None).bin), os.environ["PATH"]]
        return env | {"PATH": os.pathsep.join(paths), "PGPORT": self.postgres_port}

    def argv(self, words: list[str]) -> list[str]:
        return [self._outside(word) for word in words]

    def _outside(self, word: str) -> str:
        for inside, outside in self.ports.items():
            word = word.replace(inside, outside)
        word = word.replace("/tmp/", f"{self.tmp}/")
        return word.replace("/etc/nginx/nginx.conf", str(self.proxy_conf))

    def start(self, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                self.argv(self.services[name]["command"]),
                env=self.environment(name),
                cwd=self.code,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.processes[name]

    def is_healthy(self, name: str) -> bool:
        how, *words = self.services[name]["healthcheck"]["test"]
        argv = ["sh", "-c", *words] if how == "CMD-SHELL" else self.argv(words)
        done = subprocess.run(
            argv,
            env=self.environment(name),
            cwd=self.code,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return done.returncode == 0

    def wait_until_healthy(self, name: str) -> None:
        def answered_or_ended() -> bool:
            return self.is_healthy(name) or self.processes[name].poll() is not None

        wait_until(answered_or_ended, timeout_s=START_TIMEOUT_S, what=f"{name}'s health check")
        assert self.processes[name].poll() is None, self.log(name)

    def issue_key(self) -> str:
        done = subprocess.run(
            self.argv(["python", "manage.py", "apikey", "issue", "tester"]),
            env=self.environment("web"),
            cwd=self.code,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.split()[-1]

    def ask_to_stop(self, name: str) -> None:
        asked_by = self.services[name].get("stop_signal", "SIGTERM")
        self.processes[name].send_signal(signal.Signals[asked_by])

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for name in (self.database, f"{self.database}_chain"):
            drop_database(server_url=os.environ["DATABASE_URL"], name=name)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Everything started, in the order that the file asks for."""
    project = Project(tmp_path_factory.mktemp("compose"))
    try:
        assert not project.is_healthy("redis")
        project.start("redis")
        project.wait_until_healthy("redis")
        migrate = project.start("migrate")
        assert migrate.wait(timeout=START_TIMEOUT_S) == 0, project.log("migrate")
        for name in STARTED:
            project.start(name)
        yield project
    finally:
        project.stop()


def test_postgres_passes_its_health_check(project: Project) -> None:
    assert project.is_healthy("postgres")


def test_redis_asks_for_its_password(project: Project) -> None:
    asked = subprocess.run(
        ["redis-cli", "ping"],
        env=project.environment("migrate"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "NOAUTH" in asked.stdout + asked.stderr
    assert project.is_healthy("redis")


@pytest.mark.parametrize("name", [*BUILT_HERE, pytest.param("proxy", marks=needs_nginx)])
def test_a_service_passes_its_health_check(project: Project, name: str) -> None:
    project.wait_until_healthy(name)


@needs_nginx
def test_an_order_and_its_stream_go_through_one_origin(project: Project) -> None:
    for name in STARTED:
        project.wait_until_healthy(name)
    origin = f"127.0.0.1:{project.ports['8080']}"
    headers = {"Authorization": f"Bearer {project.issue_key()}"}

    accepted = httpx.post(f"http://{origin}/api/orders/execute", json=ORDER, headers=headers)
    order = accepted.json()
    with connect(order["streamUrl"], additional_headers=headers) as socket:
        events = [json.loads(message) for message in socket]

    assert accepted.status_code == 201
    assert order["streamUrl"] == f"ws://{origin}/api/orders/execute/{order['orderId']}"
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert events[-1]["status"] == "confirmed"
    assert httpx.get(f"http://{origin}/admin/login/").status_code == 200


def test_all_stop_in_time_when_asked_and_then_fail_their_health_checks(project: Project) -> None:
    for name in STARTED:
        project.wait_until_healthy(name)
    # Redis last, as Compose does: the others depend on it.
    for names in (STARTED, ("redis",)):
        for name in names:
            project.ask_to_stop(name)
        for name in names:
            grace = project.services[name]["stop_grace_period"]
            project.processes[name].wait(timeout=float(grace.removesuffix("s")))
            assert not project.is_healthy(name)
