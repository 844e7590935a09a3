"""Signs what the log says, outside the database: whoever rewrites history there can't rewrite it here.

A checkpoint holds the heads (order, seq, hash) of the orders whose events are new. A log that no longer says what was
signed last is not signed again: a restored one goes on once `acknowledge_restore()` has said so, for all to read.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db import connection

from orders import checkpoint_log, observe
from orders.checkpoint_log import Head, Line

EVENTS_AT_ONCE = 200_000
# An event's id is given before its commit, so an earlier one may appear behind a later: but never by so much.
LATE_BY_AT_MOST_S = 60

NEWEST_AND_SETTLED = f"""
SELECT coalesce(max(id), 0), coalesce((
    SELECT id FROM orders_orderevent WHERE id > %s AND at < engine_now() - interval '{LATE_BY_AT_MOST_S} s'
    ORDER BY id DESC LIMIT 1
), 0)
FROM orders_orderevent
"""

UPTO = """
SELECT max(id) FROM (SELECT id FROM orders_orderevent WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) AS next
"""

HEADS = """
SELECT DISTINCT ON (order_id) order_id::text, seq, encode(hash, 'hex')
FROM orders_orderevent WHERE id > %s AND id <= %s
ORDER BY order_id, seq DESC
"""

STANDING = """
SELECT count(*) FROM unnest(%s::uuid[], %s::integer[], %s::text[]) AS head (order_id, seq, hash)
JOIN orders_orderevent event USING (order_id, seq) WHERE encode(event.hash, 'hex') = head.hash
"""


def write(*, now: datetime | None = None) -> int:
    """Sign what is new by now; answer how many checkpoints that took. Safe to race, and to repeat.

    0 also while another writes, or when the log doesn't go on from what was signed. Raises NoKey.
    """
    with checkpoint_log.alone(wait=False) as alone:
        return _write_new(now or datetime.now(UTC)) if alone else 0


def acknowledge_restore(*, now: datetime | None = None) -> int | None:
    """Sign that the database has forgotten what the last checkpoints say, and go on from the last that still stands.

    Answers the id of the last event that one covers; None, and nothing is written, if the log says all that was
    signed last. Safe to repeat. Raises NoKey.
    """
    with checkpoint_log.alone(wait=True):
        signed = checkpoint_log.in_force()
        last = next(signed, None)
        if last is None or _stands(last):
            return None
        kept = next((line for line in signed if _stands(line)), checkpoint_log.BEGINNING)
        checkpoint_log.append(
            checkpoint_log.newest(),
            at=now or datetime.now(UTC),
            settled=kept.settled,
            cursor=kept.cursor,
            heads=[],
            restored_to=kept.n,
        )
        return kept.cursor


def _write_new(now: datetime) -> int:
    last, written = checkpoint_log.newest(), 0
    signed_last = next(checkpoint_log.in_force(), None)
    if signed_last is not None and not _stands(signed_last):
        observe.log_broken_off(n=signed_last.n)
        return 0
    low = last.settled
    signed = _signed_above(low)
    with connection.cursor() as cursor:
        cursor.execute(NEWEST_AND_SETTLED, [low])
        newest, settled = cursor.fetchone()
    for upto, heads in _heads(low, newest):
        new = [head for head in heads if head[1] > signed.get(head[0], 0)]
        if not new:
            continue
        last = checkpoint_log.append(
            last,
            at=now,
            settled=max(last.settled, min(settled, upto)),
            cursor=max(last.cursor, upto),
            heads=new,
        )
        observe.checkpoint_written(n=last.n, digest=last.digest, heads=len(new))
        written += 1
    return written


def _heads(low: int, newest: int) -> Iterator[tuple[int, list[Head]]]:
    """Where each step ends and the heads in it. What is written meanwhile is left to the next call: this one ends."""
    while low < newest:
        with connection.cursor() as cursor:
            cursor.execute(UPTO, [low, newest, EVENTS_AT_ONCE])
            (upto,) = cursor.fetchone()
            cursor.execute(HEADS, [low, upto])
            yield upto, cursor.fetchall()
        low = upto


def _signed_above(low: int) -> dict[str, int]:
    """Up to which seq each order is signed by the checkpoints that reach beyond `low`: a hash covers all before it."""
    signed: dict[str, int] = {}
    for line in checkpoint_log.in_force():
        if line.cursor <= low:
            break
        for order_id, seq, _ in line.heads:
            signed[order_id] = max(seq, signed.get(order_id, 0))
    return signed


def _stands(line: Line) -> bool:
    """Whether the log still says all that was signed."""
    order_ids, seqs, hashes = zip(*line.heads, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(STANDING, [list(order_ids), list(seqs), list(hashes)])
        (standing,) = cursor.fetchone()
    return bool(standing == len(line.heads))
