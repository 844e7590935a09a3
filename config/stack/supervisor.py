"""Runs child processes: their lines in one log, dead ones restarted, all of them stopped in order.

Owns processes, not their meaning: what runs, with which environment, and when it counts as ready
is `config/stack/`'s. A child that dies is started again after 0.5 s, 1 s, 2 s … 10 s.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from typing import IO

from config.stack.interrupts import held_back
from config.stack.processes import Command, stop_process

BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 10.0
# A child that ran this long was healthy: its next death starts the back-off anew.
HEALTHY_AFTER_S = 20.0
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93)


class Log:
    """Prefixed lines on one stream, coloured when it is a terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream: IO[str] | None = stream
        self._coloured = stream.isatty()
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<9}|"
        with self._lock:
            if self._coloured:
                colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
                prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
            self._write(f"{prefix} {text}\n")

    def text(self, text: str) -> None:
        """Text without a prefix, for people."""
        with self._lock:
            self._write(text + "\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # The reader has gone (`make up | head`). Children must still be read, or they block.
            self._stream = None


@dataclass
class Child:
    """A process to keep running. A higher `stage` is stopped before a lower one."""

    name: str
    command: Command
    stage: int
    stop_signal: Signals = SIGTERM
    stop_timeout_s: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    keeper: threading.Thread | None = None
    reader: threading.Thread | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Supervisor:
    """`start()` children, `stop()` them all. `on_restart` is called after a child came back."""

    def __init__(
        self,
        *,
        log: Log,
        on_restart: Callable[[], None] = lambda: None,
        held_files: tuple[int, ...] = (),
    ) -> None:
        self._log = log
        self._on_restart = on_restart
        self._children: dict[str, Child] = {}
        self._stopping = threading.Event()
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=held_files,
            start_new_session=True,
            text=True,
        )
        self._guard_lock = threading.Lock()

    @property
    def pids(self) -> dict[str, int]:
        return {name: child.process.pid for name, child in self._children.items() if child.process}

    def start(self, child: Child) -> None:
        """Returns at once. Raises OSError when the program can't be run at all."""
        self._children[child.name] = child
        self._spawn(child)
        child.keeper = threading.Thread(target=self._keep_running, args=(child,), daemon=True)
        child.keeper.start()

    def deaths(self, name: str) -> int:
        """How often the child has died so far."""
        return self._children[name].deaths

    def run_once(self, *, name: str, command: Command) -> int:
        """Run a command to its end, its lines in the log. Returns its exit code."""
        process = None
        try:
            with held_back():
                process = command.spawn(output=subprocess.PIPE)
                self._tell_guard("+", 0, SIGTERM.value, process.pid)
            self._read_lines(name, process)
            return process.wait()
        finally:
            if process:
                stop_process(process, stop_signal=SIGTERM, timeout_s=5)
                self._tell_guard("-", process.pid)

    def stop(self) -> None:
        """Stop everything, the highest stage first, each stage at once. Safe to repeat."""
        self._stopping.set()
        for stage in sorted({child.stage for child in self._children.values()}, reverse=True):
            stopping = [
                threading.Thread(target=self._stop_child, args=(child,))
                for child in self._children.values()
                if child.stage == stage
            ]
            for thread in stopping:
                thread.start()
            for thread in stopping:
                thread.join()
        with suppress(OSError):
            if self._guard.stdin:
                self._guard.stdin.close()
        self._guard.wait()

    def _spawn(self, child: Child) -> None:
        with held_back(), child.lock:
            if self._stopping.is_set():
                return
            child.process = child.command.spawn(output=subprocess.PIPE)
            self._tell_guard("+", child.stage, child.stop_signal.value, child.process.pid)
            child.reader = threading.Thread(
                target=self._read_lines, args=(child.name, child.process), daemon=True
            )
            child.reader.start()

    def _keep_running(self, child: Child) -> None:
        back_off_s = BACK_OFF_S
        while child.process:
            started_at = time.monotonic()
            process = child.process
            code = process.wait()
            self._tell_guard("-", process.pid)
            if self._stopping.is_set():
                return
            child.deaths += 1
            # Whatever it had started dies with it, or two of them would soon be running.
            stop_process(process, stop_signal=child.stop_signal, timeout_s=0)
            if time.monotonic() - started_at > HEALTHY_AFTER_S:
                back_off_s = BACK_OFF_S
            self._log.line(
                "up", f"{child.name} {describe_end(code)}; restarting it in {back_off_s:g} s"
            )
            while child.process is process:
                if self._stopping.wait(back_off_s):
                    return
                back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
                try:
                    self._spawn(child)
                except OSError as error:  # out of memory or of processes, for now
                    self._log.line("up", f"{child.name} can't be started: {error.strerror}")
            self._log.line("up", f"{child.name} restarted (pid {child.process.pid})")
            self._on_restart()

    def _stop_child(self, child: Child) -> None:
        with child.lock:
            process = child.process
        if process and not stop_process(
            process, stop_signal=child.stop_signal, timeout_s=child.stop_timeout_s
        ):
            self._log.line("up", f"{child.name} did not stop when asked, and was killed")
        for thread in (child.keeper, child.reader):
            if thread:
                thread.join(timeout=1)

    def _read_lines(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                self._log.line(name, line.decode(errors="replace").rstrip())

    def _tell_guard(self, *words: str | int) -> None:
        with self._guard_lock, suppress(OSError, ValueError):
            if self._guard.stdin:
                self._guard.stdin.write(" ".join(map(str, words)) + "\n")
                self._guard.stdin.flush()


def describe_end(code: int) -> str:
    """`exited with code 3`, `was killed by SIGKILL`."""
    if code >= 0:
        return f"exited with code {code}"
    with suppress(ValueError):
        return f"was killed by {Signals(-code).name}"
    return f"was killed by signal {-code}"
