"""The files that checkpoints stand in: a line of JSON each, chained by hash, signed by a key that no database holds.

Owns their format, their order and the lock of their writers. What is signed, and when, is `checkpoints`' part.
"""

import fcntl
import hashlib
import json
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from orders.stream import rfc3339
from routing.transaction import create_signer, read_signer

Head = tuple[str, int, str]
"""An order, the seq of its newest event, and that event's hash in hex."""


@dataclass(frozen=True, slots=True)
class Line:
    """One checkpoint. `trouble` says why it can't be trusted; None if it can.

    Events with ids up to `cursor` are signed, here or before, except for those that were committed late; up to
    `settled` none can come late any more. `restored_to` is the number of the checkpoint that a restored database went
    back to: those between it and this one say what that database has forgotten.
    """

    n: int
    at: datetime
    settled: int
    cursor: int
    heads: list[Head]
    restored_to: int | None
    previous: str
    digest: str
    where: str = ""
    trouble: str | None = None


BEGINNING = Line(0, datetime.min.replace(tzinfo=UTC), 0, 0, [], None, "", "")
"""What the first checkpoint follows."""

DOES_NOT_FOLLOW = "does not follow the checkpoint before it: one was changed or removed"


class NoKey(Exception):
    """The key that the checkpoints are signed with can't be read, and no other can take its place."""


@contextmanager
def alone(*, wait: bool) -> Iterator[bool]:
    """One writer at a time, whichever process it is in. Answers whether we are it; always, if we `wait`."""
    _folder().mkdir(parents=True, exist_ok=True)
    with (_folder() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            taken = True
        else:
            taken = False
            _set_torn_line_aside()
        yield not taken


def read() -> Iterator[Line]:
    """Every line, oldest first, checked against its signature and the checkpoint before it. Raises NoKey."""
    files = _files()
    return _checked(files, _key().pubkey()) if files else iter(())


def newest() -> Line:
    """The last checkpoint that our key signed. Raises NoKey."""
    return next(_newest_first(), BEGINNING)


def in_force() -> Iterator[Line]:
    """What our key signed and no restore has forgotten, newest first; read no further back than it is asked for.

    Raises NoKey.
    """
    forgotten_above: int | None = None
    for line in _newest_first():
        if forgotten_above is not None and line.n > forgotten_above:
            continue
        if line.restored_to is not None:
            forgotten_above = line.restored_to
        else:
            yield line


def append(
    after: Line,
    *,
    at: datetime,
    settled: int,
    cursor: int,
    heads: list[Head],
    restored_to: int | None = None,
) -> Line:
    """Sign and write the next checkpoint. The first makes the key: with others there, `newest` would have missed it."""
    document: dict[str, Any] = {
        "n": after.n + 1,
        "at": rfc3339(at),
        "previous": after.digest,
        "settled": settled,
        "cursor": cursor,
        "heads": heads,
        "restoredTo": restored_to,
    }
    key = create_signer(settings.CHECKPOINT_KEY_FILE)
    text = json.dumps(document | {"signature": str(key.sign_message(_signed(document)))}) + "\n"
    # Never behind a newer file: a clock that is set back, or another machine's, must not break the order of lines.
    names = [f"{at:%Y-%m-%d}.jsonl", *(path.name for path in _files())]
    with (_folder() / max(names)).open("a") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Line(after.n + 1, at, settled, cursor, heads, restored_to, after.digest, _digest(text))


def _checked(files: list[Path], key: Pubkey) -> Iterator[Line]:
    before = BEGINNING
    for path in files:
        with path.open(errors="replace") as lines:
            for number, text in enumerate(lines, start=1):
                if not text.endswith("\n"):  # it is being written, or its writer died
                    continue
                line = replace(_parsed(text, key), where=f"{path.name}:{number}")
                if line.trouble:
                    yield line
                    continue
                follows = line.previous == before.digest
                yield line if follows else replace(line, trouble=DOES_NOT_FOLLOW)
                before = line


def _parsed(text: str, key: Pubkey) -> Line:
    try:
        document: dict[str, Any] = json.loads(text)
        signature = Signature.from_string(document.pop("signature"))
        restored_to = document["restoredTo"]
        return Line(
            n=int(document["n"]),
            at=datetime.fromisoformat(document["at"]),
            settled=int(document["settled"]),
            cursor=int(document["cursor"]),
            heads=[(str(o), int(s), str(h)) for o, s, h in document["heads"]],
            restored_to=None if restored_to is None else int(restored_to),
            previous=str(document["previous"]),
            digest=_digest(text),
            trouble=None
            if signature.verify(key, _signed(document))
            else "is not signed by our key",
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return replace(BEGINNING, trouble="is no checkpoint")


def _newest_first() -> Iterator[Line]:
    if not (files := _files()):
        return
    key = _key().pubkey()
    for path in reversed(files):
        for text in _last_first(path):
            line = _parsed(text, key)
            if not line.trouble:
                yield line


def _last_first(path: Path) -> Iterator[str]:
    """A file's whole lines from its end. Mapped, so that of a busy day only what is asked for is read."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, _mapped(file.fileno()) as content:
        end = content.rfind(b"\n")
        while end >= 0:
            before = content.rfind(b"\n", 0, end)
            yield content[before + 1 : end + 1].decode(errors="replace")
            end = before


def _set_torn_line_aside() -> None:
    """A writer that died in the middle of a line left no checkpoint: nothing was promised by it."""
    for path in [path for path in _files()[-1:] if path.stat().st_size]:
        with path.open("rb") as file, _mapped(file.fileno()) as content:
            whole = content.rfind(b"\n") + 1
            torn = content[whole:]
        if torn:
            path.with_suffix(".torn").write_bytes(torn)
            os.truncate(path, whole)


def _mapped(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _key() -> Keypair:
    try:
        return read_signer(settings.CHECKPOINT_KEY_FILE)
    except ValueError as error:
        raise NoKey(str(error)) from error


def _signed(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _folder() -> Path:
    folder: Path = settings.CHECKPOINT_DIR
    return folder


def _files() -> list[Path]:
    return sorted(_folder().glob("????-??-??.jsonl"))
