"""Real processes of the engine on the test database, for tests that start, cut off and kill them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.db import connection

from config.stack.engine_processes import DEFAULT_REST_THREADS, web_processes
from config.stack.ports import free_port
from tests.waiting import wait_until


def environment(**changes: str) -> dict[str, str]:
    """The tests' own environment, on the test database, with a market and a chain that answer at once."""
    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    test_database = {"DATABASE_URL": f"{server}/{connection.settings_dict['NAME']}"}
    prompt = {
        "MOCK_QUOTE_DELAY_MS": "0",
        "MOCK_SWAP_DELAY_MS": "0",
        "LEASE_S": "1",
        "SWEEP_INTERVAL_S": "0.2",
    }
    return os.environ | test_database | prompt | changes


class Process:
    """A process with its log."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self._log = tempfile.NamedTemporaryFile(suffix=".log")  # noqa: SIM115  (closed by stop)
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command], env=env, stdout=self._log, stderr=subprocess.STDOUT
        )

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def says(self, text: str) -> None:
        """Wait until it has logged this."""
        wait_until(
            lambda: text in self.log or self.process.poll() is not None, timeout_s=30, what=text
        )
        assert text in self.log, self.log[-2000:]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        """Safe to repeat."""
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
                self.process.wait()
        self._log.close()


class Worker(Process):
    """A Celery worker with its pulse; halted, it has none."""

    def __init__(self, **env: str) -> None:
        command = ["celery", "-A", "config", "worker", "--pool", "threads", "--concurrency", "4"]
        super().__init__([*command, "--without-mingle", "--without-gossip"], environment(**env))
        halted = env.get("EXECUTION") == "halted"
        self.says("execution.halted" if halted else "pulse.started")


class WebServer(Process):
    """Daphne with REST and the sockets, on a free port."""

    module = "config.web"
    options: Sequence[str] = ()

    def __init__(self, **env: str) -> None:
        self.port = free_port()
        super().__init__(self._command(), environment(**env))
        wait_until(self._answers, timeout_s=30, what=self.module)

    def _command(self) -> Sequence[str]:
        return [self.module, "--port", str(self.port), *self.options]

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class StreamServer(WebServer):
    """Uvicorn with the sockets, when REST has a server of its own."""

    module = "config.sockets"


class RestServer(WebServer):
    """Granian with REST, as `WEB=split manage.py up` starts it."""

    def __init__(self, **env: str) -> None:
        super().__init__(WEB_THREADS=str(DEFAULT_REST_THREADS), **env)

    def _command(self) -> Sequence[str]:
        rest, _ = web_processes(env={}, port=self.port, stream_port=self.port)
        return rest.command.argv[2:]  # behind Python's own name and -m
