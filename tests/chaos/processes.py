"""Processes that are started again a moment after they die, as a supervisor would, unless they are held down."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.stack import guard
from config.stack.processes import Command, stop_process

LOOK_EVERY_S = 0.05


@dataclass
class Kept:
    """A process to keep running. A higher `stage` is stopped before a lower one; its lines go to `log`."""

    name: str
    command: Command
    log: Path
    stage: int
    stop_signal: signal.Signals = signal.SIGTERM
    wanted: bool = True
    starts: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    died_at: float | None = None

    @property
    def pid(self) -> int:
        """The last one's, dead or alive."""
        return self.process.pid if self.process else 0

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tell(self, number: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(number)

    def hold_down(self, number: signal.Signals) -> None:
        """End it, and leave it so until `wanted` is true again."""
        self.wanted = False
        self.tell(number)

    def says(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


class Keeper:
    """Restarts what dies `restart_after_s` later; stops it all in the end, even if this process is killed."""

    def __init__(self, *, restart_after_s: float) -> None:
        self._restart_after_s = restart_after_s
        self._kept: list[Kept] = []
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def start(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._spawn(kept)

    async def keep(self) -> None:
        """Until it is cancelled."""
        while True:
            for kept in self._kept:
                self._look_after(kept)
            await asyncio.sleep(LOOK_EVERY_S)

    def stop(self) -> None:
        """The highest stage first, each stage at once."""
        for stage in sorted({kept.stage for kept in self._kept}, reverse=True):
            stopping = [
                threading.Thread(target=self._stop, args=[kept])
                for kept in self._kept
                if kept.stage == stage
            ]
            for thread in stopping:
                thread.start()
            for thread in stopping:
                thread.join()
        assert self._guard.stdin
        self._guard.stdin.close()
        self._guard.wait()

    def _spawn(self, kept: Kept) -> None:
        with kept.log.open("ab") as log:
            kept.process = kept.command.spawn(output=log)
        kept.starts += 1
        kept.died_at = None
        self._tell_guard("+", kept.stage, kept.stop_signal.value, kept.pid)

    def _look_after(self, kept: Kept) -> None:
        if kept.lives:
            return
        if kept.died_at is None:
            kept.died_at = time.monotonic()
            self._tell_guard("-", kept.pid)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(kept.pid, signal.SIGKILL)  # what it had started dies with it
        if kept.wanted and time.monotonic() - kept.died_at >= self._restart_after_s:
            self._spawn(kept)

    def _stop(self, kept: Kept) -> None:
        if kept.process:
            kept.tell(signal.SIGCONT)
            stop_process(kept.process, stop_signal=kept.stop_signal, timeout_s=12)

    def _tell_guard(self, *words: str | int) -> None:
        with suppress(OSError, ValueError):
            assert self._guard.stdin
            self._guard.stdin.write(" ".join(map(str, words)) + "\n")
            self._guard.stdin.flush()
