"""Child processes: a command as plain fields, how to start it, how to be sure that it is gone.

Every child leads its own session, so that Ctrl-C in a terminal reaches only the process that
started it, which then stops its children in the right order.
"""

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

Output = int | IO[bytes]


@dataclass(frozen=True)
class SystemUser:
    """An account of the operating system that a child runs as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def of_uid(cls, uid: int) -> "SystemUser":
        """Raises KeyError when no such account exists."""
        entry = pwd.getpwuid(uid)
        return cls(name=entry.pw_name, uid=uid, gid=entry.pw_gid)

    @classmethod
    def named(cls, name: str) -> "SystemUser":
        """Raises KeyError when no such account exists."""
        entry = pwd.getpwnam(name)
        return cls(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


@dataclass(frozen=True)
class Command:
    """What to run: the whole environment is named, nothing is inherited by accident."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    user: SystemUser | None = None

    def spawn(self, *, output: Output) -> subprocess.Popen[bytes]:
        """Start it with both of its output streams going to `output`."""
        return subprocess.Popen(
            self.argv,
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.user.uid if self.user else None,
            group=self.user.gid if self.user else None,
            extra_groups=[] if self.user else None,
        )


def stop_process(
    process: subprocess.Popen[bytes], *, stop_signal: signal.Signals, timeout_s: float
) -> bool:
    """Ask, wait, then kill the child's whole group. True if asking was enough. Safe to repeat."""
    in_time = True
    with suppress(ProcessLookupError):
        process.send_signal(stop_signal)
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        in_time = False
    # Also after a good end: a grandchild may have outlived the child that led the group.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return in_time
