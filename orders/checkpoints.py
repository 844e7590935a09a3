"""Signed checkpoints of the log, kept outside the database: whoever rewrites history there can't rewrite it here.

A checkpoint is one line of JSON: the heads (order, seq, hash) of the orders whose events are new, the hash of the line
before it, and an Ed25519 signature by a key that the database doesn't hold.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from orders.stream import rfc3339
from routing.transaction import create_signer

EVENTS_AT_ONCE = 200_000

# An event's id is given before its commit, so a later checkpoint may find an earlier id. Each looks again at what the
# one before it looked at; what is already written is left out.
HEADS = """
SELECT DISTINCT ON (order_id) order_id::text, seq, encode(hash, 'hex')
FROM orders_orderevent WHERE id > %s AND id <= %s
ORDER BY order_id, seq DESC
"""

Head = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One checkpoint as it stands in its file. `trouble` says why it can't be trusted; None if it can."""

    where: str
    text: str
    cursor: int
    heads: list[Head]
    trouble: str | None


def write(*, now: datetime | None = None) -> int:
    """Write what is new since the last checkpoint; answer how many that took. Safe to race, and to repeat."""
    written = 0
    with _alone():
        _set_torn_line_aside()
        while _write_one(now or datetime.now(UTC)):
            written += 1
    return written


def read() -> Iterator[Line]:
    """Every checkpoint, oldest first, checked against its signature and the one before it."""
    before = ""
    for path in _files():
        with path.open() as lines:
            for number, text in enumerate(lines, start=1):
                if text.endswith("\n"):  # else it is being written, or its writer died
                    yield _checked(f"{path.name}:{number}", text, before)
                    before = text


def _write_one(now: datetime) -> bool:
    last_two = _last_two()
    since = last_two[0].cursor if len(last_two) == 2 else 0
    known = {tuple(head) for line in last_two for head in line.heads}
    reached = last_two[-1].cursor if last_two else 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(id) FROM (SELECT id FROM orders_orderevent WHERE id > %s ORDER BY id LIMIT %s) AS next",
            [reached, EVENTS_AT_ONCE],
        )
        upto = cursor.fetchone()[0] or reached
        cursor.execute(HEADS, [since, upto])
        heads = [head for head in cursor.fetchall() if head not in known]
    if not heads:
        return False
    document = {
        "at": rfc3339(now),
        "previous": _digest(last_two[-1].text) if last_two else "",
        "cursor": upto,
        "heads": heads,
    }
    signature = str(_key().sign_message(_signed(document)))
    _append(_folder() / f"{now:%Y-%m-%d}.jsonl", json.dumps(document | {"signature": signature}))
    return True


def _checked(where: str, text: str, before: str) -> Line:
    try:
        document: dict[str, Any] = json.loads(text)
        signature = Signature.from_string(document.pop("signature"))
        heads = [(str(o), int(s), str(h)) for o, s, h in document["heads"]]
        cursor, previous = int(document["cursor"]), document["previous"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Line(where, text, 0, [], "is no checkpoint")
    trouble = None
    if not signature.verify(public_key(), _signed(document)):
        trouble = "is not signed by our key"
    elif previous != (_digest(before) if before else ""):
        trouble = "does not follow the checkpoint before it: one was changed or removed"
    return Line(where, text, cursor, heads, trouble)


def public_key() -> Pubkey:
    """What the signatures are checked with."""
    return _key().pubkey()


@cache
def _key_in(path: Path) -> Keypair:
    return create_signer(path)


def _key() -> Keypair:
    return _key_in(settings.CHECKPOINT_KEY_FILE)


def _signed(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _folder() -> Path:
    folder: Path = settings.CHECKPOINT_DIR
    return folder


def _files() -> list[Path]:
    return sorted(_folder().glob("????-??-??.jsonl"))


def _last_two() -> list[Line]:
    """The last two checkpoints, oldest first; fewer if there are no more."""
    texts: list[str] = []
    for path in reversed(_files()):
        lines = path.read_text().splitlines(keepends=True)
        texts = [*lines[-2:], *texts][-2:]
        if len(texts) == 2:
            break
    # Who wrote them is the audit's question; here they only say how far we came.
    return [_checked("", text, "") for text in texts]


@contextmanager
def _alone() -> Iterator[None]:
    """One writer at a time, whichever process it is in."""
    _folder().mkdir(parents=True, exist_ok=True)
    with (_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _set_torn_line_aside() -> None:
    """A writer that died in the middle of a line left no checkpoint: nothing was promised by it."""
    for path in islice(reversed(_files()), 1):
        content = path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            path.with_suffix(".torn").write_bytes(torn)
            os.truncate(path, len(whole) + len(newline))


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
