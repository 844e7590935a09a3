"""Fills the tables with finished orders: copies of one that the engine has just executed, hashes and landings included.

So they weigh what real ones weigh, and the audit can read them. Triggers sleep meanwhile: they guard the one way on
which an order comes to its end, and these don't take it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks.engine import Engine
from benchmarks.generator import BenchError
from benchmarks.stages import Stages
from orders.journal_sql import event_hash, wish_hash

ORDERS_AT_ONCE = 20_000
# Long ago enough to be in no live stream's snapshot, and settled for the checkpoints.
NEWEST_AGE, SPAN = timedelta(hours=1), timedelta(days=30)

# An order whose life took five events.
PATTERN = """
SELECT id, tx_hash FROM orders_order
WHERE status = 'confirmed' AND attempt = 1 AND last_seq = 5 ORDER BY id DESC LIMIT 1
"""

# The pattern's events, and a sixth: its `submitted` said once more, as when somebody asks for a cancel too late.
LIFE = """
CREATE TEMPORARY TABLE life AS
SELECT e.seq + n.nth + (e.status = 'confirmed')::integer AS seq, e.attempt, e.status, e.message, e.details,
       CASE n.nth WHEN 1 THEN e.status ELSE e.from_status END AS from_status,
       e.at - min(e.at) OVER () AS after
FROM orders_orderevent e, (VALUES (0), (1)) AS n (nth)
WHERE e.order_id = %s AND (n.nth = 0 OR e.status = 'submitted')
"""

# UUIDv7, as the engine makes them. The same in both databases, since it rests on the number alone.
COPIES = """
SELECT n, at, md5('a' || n) || md5('b' || n) || left(md5('c' || n), 24) AS signature, (
    lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
    || '7' || left(md5(n::text), 3) || '8' || right(md5(n::text), 15))::uuid AS id
FROM generate_series(%(first)s::integer, %(last)s) AS n,
     LATERAL (SELECT %(until)s::timestamptz - %(step)s * (%(orders)s - n) AS at) AS accepted
"""

ORDERS = f"""
WITH RECURSIVE copy AS MATERIALIZED ({COPIES}
), wish AS (
    SELECT c.id, p.account_id, 'filler-' || c.n AS client_order_id, p.order_type, p.token_in, p.token_out,
           p.amount_in_base, p.slippage_bps, c.at AS created_at
    FROM copy c, orders_order p WHERE p.id = %(pattern)s
), log AS (
    SELECT e.*, {event_hash(wish_hash("w"), "e")} AS hash
    FROM wish w, LATERAL (
        SELECT w.id AS order_id, w.created_at, w.created_at + l.after AS at, l.seq, l.from_status, l.status,
               l.attempt, l.message, l.details
        FROM life l WHERE l.seq = 1) AS e
    UNION ALL
    SELECT e.*, {event_hash("previous.hash", "e")} AS hash
    FROM log previous, LATERAL (
        SELECT previous.order_id, previous.created_at, previous.created_at + l.after AS at, l.seq, l.from_status,
               l.status, l.attempt, l.message, l.details
        FROM life l WHERE l.seq = previous.seq + 1) AS e
), events AS (
    INSERT INTO orders_orderevent (order_id, seq, from_status, status, attempt, at, message, details, hash)
    SELECT order_id, seq, from_status, status, attempt, at, message, details, hash FROM log ORDER BY order_id, seq
), attempts AS (
    INSERT INTO orders_orderattempt
    SELECT a.* FROM copy c, orders_orderattempt p, LATERAL jsonb_populate_record(p, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('orders_orderattempt', 'id')), 'order_id', c.id,
        'signature', c.signature, 'started_at', c.at, 'sent_at', c.at, 'ended_at', c.at)) AS a
    WHERE p.order_id = %(pattern)s
)
INSERT INTO orders_order
SELECT o.* FROM copy c JOIN log ON log.order_id = c.id, orders_order p, LATERAL jsonb_populate_record(
    p, jsonb_build_object(
        'id', c.id, 'client_order_id', 'filler-' || c.n, 'created_at', c.at, 'updated_at', log.at,
        'tx_hash', c.signature, 'last_seq', log.seq, 'head_hash', log.hash)) AS o
WHERE log.seq = (SELECT max(seq) FROM life) AND p.id = %(pattern)s
"""

LANDINGS = f"""
INSERT INTO simulated_chain.transactions
SELECT t.* FROM ({COPIES}) AS c, simulated_chain.transactions p, LATERAL jsonb_populate_record(p, jsonb_build_object(
    'signature', c.signature, 'memo', c.id || ':1', 'slot', p.slot * c.n / %(orders)s)) AS t
WHERE p.signature = %(signature)s
"""

# Beat signs what is new every minute. It should not find a million orders while others are measured.
SIGN = """
import django
django.setup()
from orders import checkpoint_log, checkpoints
with checkpoint_log.alone(wait=True):
    pass
checkpoints.write()
"""


def fill(engine: Engine, *, orders: int, stages: Stages) -> None:
    """Raises BenchError."""
    until = datetime.now(UTC) - NEWEST_AGE
    told: dict[str, Any] = {"orders": orders, "until": until, "step": SPAN / orders}
    with (
        psycopg.connect(engine.ready.database_url, autocommit=True) as database,
        psycopg.connect(engine.ready.chain_database_url, autocommit=True) as chain,
    ):
        found = database.execute(PATTERN).fetchone()
        if found is None:
            raise BenchError(
                "No order was confirmed at its first attempt, so there is none to copy."
            )
        told["pattern"], told["signature"] = found
        database.execute("SET session_replication_role = replica")
        database.execute(LIFE, [told["pattern"]])
        database.execute("ANALYZE life")
        with stages.stage("filling the tables", orders) as tell:
            for first in range(1, orders + 1, ORDERS_AT_ONCE):
                told |= {"first": first, "last": min(orders, first + ORDERS_AT_ONCE - 1)}
                database.execute(ORDERS, told)
                chain.execute(LANDINGS, told)
                tell(told["last"])
        with stages.stage("signing checkpoints"):
            signed = engine.python("-c", SIGN)
            if signed.returncode != 0:
                raise BenchError(f"The checkpoints can't be signed: {signed.stderr[-300:]}")
        with stages.stage("vacuum"):
            # What autovacuum would do in the midst of the measurement.
            for each in (database, chain):
                each.execute("VACUUM ANALYZE")
            database.execute("CHECKPOINT")
