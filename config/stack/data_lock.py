"""One running stack per data folder."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# The guard of a killed run (config/stack/guard.py) holds the lock while it stops what was left behind.
CLEAN_UP_TIMEOUT_S = 40.0


class DataFolderInUse(Exception):
    """Another stack runs on this folder; the message is one sentence."""


@contextmanager
def lock_data_dir(data_dir: Path) -> Iterator[IO[str]]:
    """Holds `data_dir/lock` until the block ends, or this process does, however it ends."""
    with (data_dir / "lock").open("a+") as file:
        deadline = time.monotonic() + CLEAN_UP_TIMEOUT_S
        while not _take(file):
            file.seek(0)
            owner = file.read().strip()
            if (owner.isdigit() and _lives(int(owner))) or time.monotonic() > deadline:
                raise DataFolderInUse(
                    f"The engine already runs on {data_dir} (process {owner or 'unknown'}): stop "
                    "it, or set DATA_DIR to another folder."
                )
            time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file


def _take(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
