"""The journal's two statements. Each takes its rows as one JSON array and answers with what it knew better of each
event that it wrote.

RECORD also takes the orders' ids: the planner knows the length of that array, but guesses 100 rows for any JSON, and
would read the whole table for them.
"""

from orders.lifecycle import ACTIVE, AttemptState


def _hash(previous: str, *columns: str) -> str:
    # Only functions of PostgreSQL's own: what one can redefine in this database proves nothing.
    text = f"pg_catalog.jsonb_build_array({', '.join(columns)})::text"
    return f"pg_catalog.sha256({previous} || pg_catalog.convert_to({text}, 'UTF8'))"


def _utc(time: str) -> str:
    return f"pg_catalog.to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def event_hash(previous: str, event: str) -> str:
    """SQL for the hash of an event: over the hash before it and the event's text, so that a chain shows any change.

    `previous` is an SQL expression, `event` what the columns belong to.
    """
    names = ("order_id", "seq", "from_status", "status", "attempt")
    columns = [f"{event}.{name}" for name in names]
    return _hash(previous, *columns, _utc(f"{event}.at"), f"{event}.message", f"{event}.details")


def wish_hash(order: str) -> str:
    """SQL for the hash that an order's first event continues: over what its client asked for."""
    names = (
        "id",
        "account_id",
        "client_order_id",
        "order_type",
        "token_in",
        "token_out",
        "amount_in_base",
    )
    columns = [f"{order}.{name}" for name in names]
    return _hash("''::bytea", *columns, f"{order}.slippage_bps", _utc(f"{order}.created_at"))


def proof_hash(proof: str) -> str:
    """SQL for what an event tells of a proof that is stored beside it: a hash of the text that PostgreSQL keeps."""
    return (
        f"encode(pg_catalog.sha256(pg_catalog.convert_to(({proof})::jsonb::text, 'UTF8')), 'hex')"
    )


ACCEPTED = "Order accepted."

ACCEPT = f"""
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS w(
        id uuid, account_id bigint, client_order_id text, order_type text,
        token_in text, token_out text, amount_in_base numeric, slippage_bps smallint,
        quote_id uuid, quote_expires_at timestamptz, min_amount_out_base numeric, details jsonb)
), first AS (
    SELECT w.*, w.id AS order_id, 1 AS seq, NULL::text AS from_status, 'pending' AS status, 0 AS attempt,
           engine_now() AS at, engine_now() AS created_at, '{ACCEPTED}' AS message
    FROM wanted w
), chained AS (
    SELECT f.*, {event_hash(wish_hash("f"), "f")} AS hash FROM first f
), accepted AS (
    INSERT INTO orders_order (
        id, account_id, client_order_id, order_type, token_in, token_out, amount_in_base, slippage_bps, quote_id,
        quote_expires_at, min_amount_out_base, created_at, head_hash)
    SELECT id, account_id, client_order_id, order_type, token_in, token_out, amount_in_base, slippage_bps, quote_id,
        quote_expires_at, min_amount_out_base, created_at, hash
    FROM chained
    ON CONFLICT (account_id, client_order_id) DO NOTHING
    RETURNING id, account_id, created_at
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, status, attempt, at, message, details, hash)
    SELECT c.id, c.seq, c.status, c.attempt, c.at, c.message, c.details, c.hash
    FROM chained c JOIN accepted a ON a.id = c.id
)
SELECT account_id, id, created_at FROM accepted
"""

_ENDED = ", ".join(
    f"'{state}'" for state in (AttemptState.CONFIRMED, AttemptState.DEAD, AttemptState.FAILED)
)
_ACTIVE = ", ".join(f"'{status}'" for status in sorted(ACTIVE))

# An attempt's columns, as a transition writes them. One that opens the first attempt writes them there.
_CHANGE = """c(
        state text, quotes jsonb, receipt jsonb, venue text, pool text, min_amount_out_base numeric, signature text,
        signed_bytes text, last_valid_block_height bigint, genesis_hash text, signed_slot bigint, proof jsonb,
        amount_out_base numeric, error_code text, error_message text)"""

# `moving` locks the rows in the order of their ids, so that two batches can't wait for each other; `moved` carries all
# that is written beside it, so that nothing need be joined again. `told` is one row per event, `chained` the same with
# each one's hash over the one before. An event is progress, so the count of fruitless claims restarts.
RECORD = f"""
WITH RECURSIVE wanted AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS w(
        order_id uuid, from_status text, from_seq integer, fence bigint, passed jsonb, status text, message text,
        due_in_s double precision, details jsonb, attempt jsonb, opens_attempt boolean,
        releases boolean, selected_dex text, tx_hash text, min_amount_out_base numeric, amount_out_base numeric,
        error_code text, error_message text, error_retryable boolean, in_doubt boolean, cancel_requested boolean,
        next_check_in_s double precision)
), moving AS (
    SELECT w.order_id, o.account_id, o.attempt AS at_attempt, o.attempt + w.opens_attempt::int AS attempt,
           w.from_seq, w.from_seq + jsonb_array_length(w.passed) + 1 AS seq, o.head_hash, engine_now() AS at,
           w.passed, coalesce(w.passed -> -1 ->> 'status', w.from_status) AS from_status, w.status, w.message,
           w.details AS wanted_details, w.attempt AS change, w.due_in_s, w.opens_attempt, w.releases, w.selected_dex,
           w.tx_hash, w.min_amount_out_base, w.amount_out_base, w.error_code, w.error_message, w.error_retryable,
           w.in_doubt, w.cancel_requested, w.details
               || CASE WHEN w.in_doubt AND w.next_check_in_s IS NOT NULL
                       THEN jsonb_build_object('inDoubt', jsonb_build_object(
                           'since', {_utc("coalesce(o.in_doubt_since, engine_now())")},
                           'nextCheckAt', {_utc("(engine_now() + make_interval(secs => w.next_check_in_s))")}))
                       ELSE '{{}}' END
               || CASE jsonb_typeof(w.attempt -> 'proof') WHEN 'object'
                       THEN jsonb_build_object('proofHash', {proof_hash("w.attempt -> 'proof'")})
                       ELSE '{{}}' END AS details
    FROM orders_order o JOIN wanted w ON o.id = w.order_id
    WHERE o.id = ANY(%s::uuid[])
      AND o.status = w.from_status AND o.last_seq = w.from_seq AND (w.fence IS NULL OR o.fence = w.fence)
      AND o.status IN ({_ACTIVE})
    ORDER BY o.id
    FOR NO KEY UPDATE OF o
), told AS (
    SELECT order_id, seq, from_status, status, attempt, at, message, details FROM moving
    UNION ALL
    SELECT m.order_id, m.from_seq + p.place::int, p.from_status, p.status, m.attempt, m.at, p.message, p.details
    FROM moving m, ROWS FROM (
        jsonb_to_recordset(m.passed) AS (from_status text, status text, message text, details jsonb)
    ) WITH ORDINALITY AS p(from_status, status, message, details, place)
), chained AS (
    SELECT order_id, from_seq AS seq, NULL::text AS from_status, NULL::text AS status, attempt, at,
           NULL::text AS message, NULL::jsonb AS details, head_hash AS hash
    FROM moving
    UNION ALL
    SELECT t.*, {event_hash("c.hash", "t")}
    FROM chained c JOIN told t ON t.order_id = c.order_id AND t.seq = c.seq + 1
), moved AS (
    UPDATE orders_order o SET
        status = m.status,
        last_seq = m.seq,
        attempt = m.attempt,
        head_hash = c.hash,
        fence = o.fence + m.releases::int,
        due_at = CASE WHEN m.status IN ({_ACTIVE})
                      THEN coalesce(engine_now() + make_interval(secs => m.due_in_s), o.due_at) END,
        claims = 0,
        selected_dex = coalesce(m.selected_dex, o.selected_dex),
        tx_hash = coalesce(m.tx_hash, o.tx_hash),
        min_amount_out_base = coalesce(o.min_amount_out_base, m.min_amount_out_base),
        amount_out_base = coalesce(m.amount_out_base, o.amount_out_base),
        error_code = coalesce(m.error_code, o.error_code),
        error_message = coalesce(m.error_message, o.error_message),
        error_retryable = m.error_retryable,
        in_doubt_since = CASE m.in_doubt WHEN true THEN coalesce(o.in_doubt_since, engine_now())
                                         WHEN false THEN NULL ELSE o.in_doubt_since END,
        cancel_requested_at = CASE WHEN m.cancel_requested THEN coalesce(o.cancel_requested_at, engine_now())
                                   ELSE o.cancel_requested_at END
    FROM moving m JOIN chained c ON c.order_id = m.order_id AND c.seq = m.seq
    WHERE o.id = m.order_id
    RETURNING m.*
), changed AS (
    UPDATE orders_orderattempt a SET
        state = c.state,
        quotes = coalesce(c.quotes, a.quotes),
        receipt = coalesce(c.receipt, a.receipt),
        venue = coalesce(c.venue, a.venue),
        pool = coalesce(c.pool, a.pool),
        min_amount_out_base = coalesce(c.min_amount_out_base, a.min_amount_out_base),
        signature = coalesce(c.signature, a.signature),
        signed_bytes = coalesce(decode(c.signed_bytes, 'base64'), a.signed_bytes),
        last_valid_block_height = coalesce(c.last_valid_block_height, a.last_valid_block_height),
        genesis_hash = coalesce(c.genesis_hash, a.genesis_hash),
        signed_slot = coalesce(c.signed_slot, a.signed_slot),
        proof = coalesce(c.proof, a.proof),
        amount_out_base = coalesce(c.amount_out_base, a.amount_out_base),
        error_code = coalesce(c.error_code, a.error_code),
        error_message = coalesce(c.error_message, a.error_message),
        sent_at = CASE WHEN c.state = '{AttemptState.SENT}' THEN coalesce(a.sent_at, engine_now()) ELSE a.sent_at END,
        ended_at = CASE WHEN c.state IN ({_ENDED}) THEN engine_now() END
    FROM moved m, jsonb_to_record(CASE jsonb_typeof(m.change) WHEN 'object' THEN m.change END) AS {_CHANGE}
    WHERE a.order_id = m.order_id AND a.number = m.at_attempt AND c.state IS NOT NULL
), opened AS (
    INSERT INTO orders_orderattempt (
        order_id, number, state, quotes, receipt, venue, pool, min_amount_out_base, signature, signed_bytes,
        last_valid_block_height, genesis_hash, signed_slot, error_code, error_message, sent_at, ended_at)
    SELECT m.order_id, m.attempt, coalesce(c.state, '{AttemptState.QUOTING}'), coalesce(c.quotes, '[]'),
           c.receipt, coalesce(c.venue, ''), coalesce(c.pool, ''), c.min_amount_out_base, c.signature,
           decode(c.signed_bytes, 'base64'), c.last_valid_block_height, coalesce(c.genesis_hash, ''), c.signed_slot,
           coalesce(c.error_code, ''), coalesce(c.error_message, ''),
           CASE c.state WHEN '{AttemptState.SENT}' THEN engine_now() END,
           CASE WHEN c.state IN ({_ENDED}) THEN engine_now() END
    FROM moved m LEFT JOIN LATERAL
        jsonb_to_record(CASE WHEN m.at_attempt = 0 AND jsonb_typeof(m.change) = 'object' THEN m.change END)
        AS {_CHANGE} ON true
    WHERE m.opens_attempt
), event AS (
    INSERT INTO orders_orderevent (order_id, seq, from_status, status, attempt, at, message, details, hash)
    SELECT c.order_id, c.seq, c.from_status, c.status, c.attempt, c.at, c.message, c.details, c.hash
    FROM chained c JOIN moved m ON m.order_id = c.order_id AND c.seq > m.from_seq
)
SELECT account_id, order_id, seq, attempt, at, CASE WHEN details <> wanted_details THEN details::text END FROM moved
"""
