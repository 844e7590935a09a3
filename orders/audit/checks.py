"""What an audit looks for: SQL that answers with offenders, as (check, order id, what is wrong).

The first kind looks at a range of orders, `low < id <= high`, and is told what one base unit of each token is worth in
whole tokens; the second at the chain's history in the table `landed`.
"""

from orders.journal_sql import event_hash, proof_hash, wish_hash
from orders.lifecycle import ACTIVE

OVERDUE_S = 60

CHECKS = {
    "events": "every order's events are contiguous, and each follows from the one before",
    "hashes": "every event's hash is that of its text and of the hash before it",
    "heads": "every order says what its last event says",
    "checkpoints": "every signed checkpoint is whole, and what it says still stands in the log",
    "attempts": "every order's attempts are contiguous, up to the current one",
    "proofs": "no attempt started without proof that the one before is dead or sent nothing, and every proof holds",
    "quotes": "every order on a quote is what its client was promised, and neither accepts nor received less",
    "overdue": f"no active order is due for more than {OVERDUE_S} s",
    "landed once": "no order has two error-free landed transactions",
    "landed and known": "every landed transaction is an attempt of an order",
    "landed and confirmed": "every error-free landed transaction's order is confirmed, or still submitted",
    "confirmed and landed": "every confirmed order's transaction landed, without error, with that amount",
}

_ACTIVE = ", ".join(f"'{status}'" for status in sorted(ACTIVE))

# In the wire's form, which the first event has. A token that isn't listed any more has unknown decimals.
_MINIMUM = (
    "trim_scale(o.min_amount_out_base * (%(base_units)s::jsonb ->> o.token_out)::numeric)::text"
)

OF_EVENTS = f"""
WITH event AS (
    SELECT order_id, seq, from_status, status, attempt, at, message, details, hash,
           lag(hash) OVER log AS hash_before, lag(status) OVER log AS status_before, row_number() OVER log AS nth
    FROM orders_orderevent WHERE order_id > %(low)s AND order_id <= %(high)s
    WINDOW log AS (PARTITION BY order_id ORDER BY seq)
)
SELECT found.* FROM event e LEFT JOIN orders_order o ON o.id = e.order_id, LATERAL (
    SELECT 'events', e.order_id, format('#%%s comes from %%s as event %%s, after %%s',
        e.seq, coalesce(e.from_status, 'nothing'), e.nth, coalesce(e.status_before, 'nothing'))
    WHERE e.seq <> e.nth OR e.from_status IS DISTINCT FROM e.status_before
    UNION ALL
    SELECT 'events', e.order_id, format('#%%s belongs to no order', e.seq) WHERE o.id IS NULL
    UNION ALL
    SELECT 'hashes', e.order_id, format('#%%s is not what was written', e.seq)
    WHERE e.hash IS DISTINCT FROM {event_hash(f"coalesce(e.hash_before, {wish_hash('o')})", "e")}
    UNION ALL
    SELECT 'quotes', e.order_id, format('was accepted on %%s for at least %%s, but is on %%s for %%s',
        coalesce('quote ' || (e.details ->> 'quoteId'), 'no quote'), coalesce(e.details ->> 'minAmountOut', 'nothing'),
        coalesce('quote ' || o.quote_id, 'no quote'), coalesce({_MINIMUM}, o.min_amount_out_base || ' base units'))
    WHERE e.seq = 1 AND o.id IS NOT NULL AND (
        o.quote_id::text IS DISTINCT FROM e.details ->> 'quoteId'
        OR o.quote_id IS NOT NULL AND e.details ->> 'minAmountOut' <> {_MINIMUM})
) AS found
"""

OF_ORDERS = f"""
SELECT found.* FROM orders_order o
LEFT JOIN LATERAL (
    SELECT seq, status, hash FROM orders_orderevent e WHERE e.order_id = o.id ORDER BY seq DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS number_of, max(number) AS highest, min(min_amount_out_base) AS least
    FROM orders_orderattempt a WHERE a.order_id = o.id
) attempts ON true,
LATERAL (
    SELECT 'heads', o.id, format('is %%s at #%%s, its last event is %%s at #%%s',
        o.status, o.last_seq, coalesce(last.status, 'missing'), coalesce(last.seq, 0))
    WHERE (o.last_seq, o.status, o.head_hash) IS DISTINCT FROM (last.seq, last.status, last.hash)
    UNION ALL
    SELECT 'attempts', o.id, format('is at attempt %%s of %%s', o.attempt, attempts.number_of)
    WHERE attempts.number_of <> o.attempt OR coalesce(attempts.highest, 0) <> o.attempt
    UNION ALL
    SELECT 'quotes', o.id, format('%%s %%s base units, of at least %%s', told.what, told.amount, o.min_amount_out_base)
    FROM (VALUES ('an attempt accepts', attempts.least), ('received', o.amount_out_base)) AS told(what, amount)
    WHERE o.quote_id IS NOT NULL AND told.amount < o.min_amount_out_base
    UNION ALL
    SELECT 'overdue', o.id, format('is %%s and was due at %%s', o.status, o.due_at)
    WHERE o.status IN ({_ACTIVE}) AND o.due_at < engine_now() - interval '{OVERDUE_S} s'
) AS found
WHERE o.id > %(low)s AND o.id <= %(high)s
"""

# An attempt's end is told by the event that opened the next one, or by the order's last. An event from before proofs
# were hashed has no hash to compare.
OF_ATTEMPTS = f"""
SELECT 'proofs', a.order_id, format('attempt %%s has no proof that allowed it', a.number)
FROM orders_orderattempt a
LEFT JOIN orders_orderattempt b ON b.order_id = a.order_id AND b.number = a.number - 1
WHERE a.order_id > %(low)s AND a.order_id <= %(high)s AND a.number > 1
  AND (b.state = 'dead' AND b.proof IS NOT NULL OR b.state = 'failed' AND b.signature IS NULL) IS NOT TRUE
UNION ALL
SELECT 'proofs', order_id, format('attempt %%s is dead without a proof', number)
FROM orders_orderattempt
WHERE order_id > %(low)s AND order_id <= %(high)s AND state = 'dead' AND proof IS NULL
UNION ALL
SELECT 'proofs', a.order_id, CASE WHEN e.id IS NULL
    THEN format('the log tells no such end of attempt %%s', a.number)
    ELSE format('the proof of attempt %%s is not what was written', a.number) END
FROM orders_orderattempt a
LEFT JOIN orders_orderevent e ON e.order_id = a.order_id AND e.from_status = 'submitted' AND e.status <> 'submitted'
  AND e.attempt = a.number + (e.status = 'routing')::int AND (e.status = 'confirmed') = (a.state = 'confirmed')
WHERE a.order_id > %(low)s AND a.order_id <= %(high)s AND a.proof IS NOT NULL
  AND (e.id IS NULL OR e.details ->> 'proofHash' <> {proof_hash("a.proof")})
"""

OF_A_RANGE = (OF_EVENTS, OF_ORDERS, OF_ATTEMPTS)

# A memo that is no `orderId:attempt` has neither: another program signs with the same key.
LANDED = """
CREATE TEMPORARY TABLE landed (
    signature text, slot bigint, order_id uuid, attempt integer, error text, amount_out_base numeric)
"""

OF_LANDINGS = """
SELECT 'landed once', order_id, format('has %%s error-free landed transactions', count(*))
FROM landed WHERE error IS NULL AND order_id IS NOT NULL GROUP BY order_id HAVING count(*) > 1
UNION ALL
SELECT 'landed and known', l.order_id,
    format('%%s landed, of no %%s', l.signature, CASE WHEN o.id IS NULL THEN 'order' ELSE 'attempt' END)
FROM landed l
LEFT JOIN orders_order o ON o.id = l.order_id
LEFT JOIN orders_orderattempt a ON a.order_id = l.order_id AND a.number = l.attempt AND a.signature = l.signature
WHERE l.order_id IS NULL OR o.id IS NULL OR a.id IS NULL
UNION ALL
SELECT 'landed and confirmed', l.order_id, format('is %%s, but %%s landed', o.status, l.signature)
FROM landed l JOIN orders_order o ON o.id = l.order_id
WHERE l.error IS NULL AND o.status NOT IN ('confirmed', 'submitted')
UNION ALL
SELECT 'proofs', l.order_id, format('attempt %%s is %%s, but %%s landed', a.number, a.state, l.signature)
FROM landed l JOIN orders_orderattempt a ON a.order_id = l.order_id AND a.number = l.attempt
WHERE l.error IS NULL AND a.state IN ('dead', 'failed')
"""

# What an operator ended by hand was proven by other evidence than a landing.
CONFIRMED_UNSEEN = """
SELECT o.id, o.tx_hash, o.amount_out_base, coalesce(a.signed_slot, 0), coalesce(a.last_valid_block_height, 0)
FROM orders_order o
LEFT JOIN orders_orderattempt a ON a.order_id = o.id AND a.number = o.attempt
LEFT JOIN landed l ON l.signature = o.tx_hash AND l.order_id = o.id
WHERE o.status = 'confirmed' AND a.proof ->> 'kind' IS DISTINCT FROM 'operator'
  AND (l.error IS NULL AND l.amount_out_base = o.amount_out_base) IS NOT TRUE
"""

HEADS = "CREATE TEMPORARY TABLE heads (n integer, order_id uuid, seq integer, hash text)"

# What was signed between the checkpoint that a restored database went back to and the one that says so.
FORGET = "DELETE FROM heads WHERE n > %s AND n < %s"

OF_HEADS = """
SELECT 'checkpoints', h.order_id, format('#%%s is not what a checkpoint says it was', h.seq)
FROM heads h LEFT JOIN orders_orderevent e ON e.order_id = h.order_id AND e.seq = h.seq
WHERE encode(e.hash, 'hex') IS DISTINCT FROM h.hash
"""

# Long after a checkpoint was due: beat is dead, the log no longer says what was signed, or checkpoints were removed.
UNCOVERED = """
SELECT 'checkpoints', NULL::uuid, format('%%s events up to %%s are in no checkpoint', count(*), max(at))
FROM orders_orderevent WHERE id > %s AND at < engine_now() - interval '10 min' HAVING count(*) > 0
"""
