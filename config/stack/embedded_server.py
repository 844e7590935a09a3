"""What the embedded servers share: a folder of their own, an account, a start and an end."""

import os
import secrets
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from config.stack.interrupts import held_back
from config.stack.kept import keep_secret
from config.stack.processes import Command, SystemUser, stop_process
from config.stack.server_binaries import EmbeddedServerError, can_enter, choose_system_user
from config.stack.supervisor import Child

# Crash recovery replays PostgreSQL's write-ahead log before the server answers.
START_TIMEOUT_S = 60.0


class EmbeddedServer(ABC):
    """One server in `data_dir/name`.

    `start()` and `stop()` serve a caller without a supervisor; a supervisor calls `prepare()` and
    runs `command` itself, any number of times: port and password stay the same.
    """

    name: str
    stop_signal: signal.Signals
    stop_timeout_s: float

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.folder = self.data_dir / self.name
        self.log_path = self.data_dir / f"{self.name}.log"
        self.port = 0
        self.system_user: SystemUser | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The server's address, password included."""

    @property
    @abstractmethod
    def command(self) -> Command:
        """What runs the server in the foreground. Valid after `prepare()`."""

    @abstractmethod
    def prepare(self) -> None:
        """Choose a port, write what the server needs. Raises EmbeddedServerError."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client with the password gets an answer now."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Returns once the server answers; its log is `log_path`. Raises EmbeddedServerError."""
        self.prepare()
        try:
            with self.log_path.open("wb") as log, held_back():
                self._process = self.command.spawn(output=log)
            self.wait_until_it_answers(is_running=self._is_running)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Safe to repeat."""
        if self._process:
            stop_process(self._process, stop_signal=self.stop_signal, timeout_s=self.stop_timeout_s)
            self._process = None

    def child(self, *, stage: int) -> Child:
        """The server for a supervisor, after `prepare()`: it may be restarted any number of times."""
        return Child(
            name=self.name,
            command=self.command,
            stage=stage,
            stop_signal=self.stop_signal,
            stop_timeout_s=self.stop_timeout_s,
        )

    def wait_until_it_answers(self, *, is_running: Callable[[], bool]) -> None:
        """Raises EmbeddedServerError once `is_running` gives up on it, or after a minute."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if not is_running() or time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded {self.name} server did not start: {self._last_words()}"
                )
            time.sleep(0.05)

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _last_words(self) -> str:
        """The log's last complaint, else its last line."""
        if self._process is None:
            return "its log lines say why."
        lines = [line for line in self.log_path.read_text(errors="replace").split("\n") if line]
        complaints = [line for line in lines if "FATAL" in line or "rror" in line]
        return (complaints or lines or ["it said nothing."])[-1]

    def _make_folder(self) -> None:
        """The server's folder: owned by the account that runs it, closed to everybody else."""
        try:
            make_data_dir(self.data_dir)
            self.system_user = choose_system_user(server_folder=self.folder)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._own(self.folder)
        except OSError as error:
            raise EmbeddedServerError(explain_unwritable(self.data_dir, error)) from None
        if not can_enter(folder=self.folder, user=self.system_user):
            account = self.system_user.name if self.system_user else "this account"
            raise EmbeddedServerError(
                f"The embedded servers don't run as root, and the account {account} can't reach "
                f"{self.data_dir}: set DATA_DIR to a folder it can reach, such as "
                "/var/lib/order-engine, run as an ordinary user, or name running servers in "
                "DATABASE_URL and REDIS_URL."
            )

    def _own(self, path: Path) -> None:
        if self.system_user:
            os.chown(path, self.system_user.uid, self.system_user.gid, follow_symlinks=False)

    def _password(self) -> str:
        path = self.folder / "password"
        password = keep_secret(path=path, make=lambda: secrets.token_urlsafe(24))
        self._own(path)
        return password

    def _stop_left_over(self, *, pid_file: Path) -> None:
        """Stop the server that an earlier owner, killed itself, left running on this folder."""
        with suppress(OSError, ValueError, IndexError, psutil.Error):
            process = psutil.Process(int(pid_file.read_text().split()[0]))
            if not Path(process.cwd()).is_relative_to(self.folder):
                # The number belongs to another program by now, and a server that finds it alive
                # would take it for itself and refuse to start.
                pid_file.unlink()
                return
            process.send_signal(self.stop_signal)
            try:
                process.wait(timeout=self.stop_timeout_s)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout=self.stop_timeout_s)


def make_data_dir(data_dir: Path) -> None:
    """Safe to repeat. Root's is open to pass through, not to read: its servers run as another."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A folder that is in use already keeps the mode that its owner gave it.
    if os.geteuid() == 0 and not any(data_dir.iterdir()):
        data_dir.chmod(0o711)


def explain_unwritable(data_dir: Path, error: OSError) -> str:
    return (
        f"The data folder {data_dir} can't be written ({error.strerror}): "
        "set DATA_DIR to a folder that can."
    )
