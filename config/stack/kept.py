"""Secrets that the engine makes once and keeps under `DATA_DIR`, readable by their owner only."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ADMIN_USER = "admin"


def keep_secret(*, path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`; made and written (mode 600) if there is none yet."""
    with suppress(FileNotFoundError):
        kept = path.read_text().strip()
        if kept:
            return kept
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = make()
    write_private(path=path, text=secret + "\n")
    return secret


def secret_path(*, data_dir: Path, name: str) -> Path:
    return data_dir / "secrets" / name


def write_private(*, path: Path, text: str) -> None:
    """Write a file (mode 600) that is never seen half-written, nor for an instant by others."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
