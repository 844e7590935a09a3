"""The simulated chain's tables and functions, in its own PostgreSQL database and its own schema.

`install` may run in several processes at once, and again on every start.
"""

from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# Advisory locks are per database. Any numbers do, if nobody else uses them there.
INSTALL_LOCK: Final = 7_330_001
CLOSE_LOCK: Final = 7_330_002
LANDING_LOCK: Final = 7_330_003

SCHEMA: Final = f"""
CREATE SCHEMA IF NOT EXISTS simulated_chain;

-- One row: when the chain began, and what can no longer change.
CREATE TABLE IF NOT EXISTS simulated_chain.ledger (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    genesis_hash text NOT NULL,
    genesis_ms bigint NOT NULL,
    slot_ms integer NOT NULL,
    -- Slots up to here are over: nothing lands in them any more, and what they moved is in moves.
    closed_slot bigint NOT NULL DEFAULT -1,
    first_available_slot bigint NOT NULL DEFAULT 0
);

-- One row per signature that the chain took. It is in flight while raw is there, and landed once it is gone.
CREATE TABLE IF NOT EXISTS simulated_chain.transactions (
    signature text COLLATE "C" PRIMARY KEY,
    slot bigint NOT NULL,
    raw bytea,
    error text,
    memo text NOT NULL,
    signer text NOT NULL,
    venue text NOT NULL,
    pool text NOT NULL,
    amount_in_base numeric(20) NOT NULL,
    min_amount_out_base numeric(20) NOT NULL,
    amount_out_base numeric(20) NOT NULL DEFAULT 0,
    -- The net amount of its token X that each pool got, by its address, as text.
    moves jsonb,
    CHECK (raw IS NULL OR (error IS NULL AND amount_out_base = 0 AND moves IS NULL)),
    CHECK (error IS NULL OR (amount_out_base = 0 AND moves IS NULL))
);
-- A chain that began with an earlier version.
ALTER TABLE simulated_chain.ledger ADD COLUMN IF NOT EXISTS closed_slot bigint NOT NULL DEFAULT -1;
ALTER TABLE simulated_chain.transactions ADD COLUMN IF NOT EXISTS moves jsonb;

-- For landing what is due, in its order.
CREATE INDEX IF NOT EXISTS transactions_in_flight
    ON simulated_chain.transactions (slot, signature) WHERE raw IS NOT NULL;
-- For close, and for purge.
CREATE INDEX IF NOT EXISTS transactions_of_slot ON simulated_chain.transactions (slot);

-- For history: what a key signed, newest first.
CREATE INDEX IF NOT EXISTS transactions_of_signer
    ON simulated_chain.transactions (signer, slot DESC, signature DESC) WHERE raw IS NULL;

-- How often a signature was sent. Written only when faults are on: a drop is per send.
CREATE TABLE IF NOT EXISTS simulated_chain.sends (
    signature text COLLATE "C" PRIMARY KEY,
    times integer NOT NULL DEFAULT 1,
    slot bigint NOT NULL
);

-- What the transactions of a closed slot moved, together. A pool's price at a slot needs no more than a few of these.
CREATE TABLE IF NOT EXISTS simulated_chain.moves (
    slot bigint,
    pool text,
    moved_x_base numeric NOT NULL,
    PRIMARY KEY (slot, pool)
);

-- Takes transactions, landed or in flight; a signature known already changes nothing. What is in flight lands in a
-- slot that is not closed. What landed in one that is closed meanwhile (its sender was held up) is not taken: returns
-- the signatures of those. The shared lock makes a close wait for sends under way; each statement of a function sees
-- what was committed before it, so a send that waited for a close sees that close. In the order of signatures, so
-- that two senders of the same transactions can't wait for each other.
CREATE OR REPLACE FUNCTION simulated_chain.take(
    p_signatures text[], p_slots bigint[], p_raws bytea[], p_errors text[], p_memos text[], p_signers text[],
    p_venues text[], p_pools text[], p_amounts_in numeric[], p_min_amounts_out numeric[], p_amounts_out numeric[],
    p_moves jsonb[]
) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v_closed_slot bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared({CLOSE_LOCK});
    SELECT closed_slot INTO v_closed_slot FROM simulated_chain.ledger;
    INSERT INTO simulated_chain.transactions (
        signature, slot, raw, error, memo, signer, venue, pool, amount_in_base, min_amount_out_base,
        amount_out_base, moves
    )
    SELECT t.signature, greatest(t.slot, v_closed_slot + 1), t.raw, t.error, t.memo, t.signer, t.venue, t.pool,
           t.amount_in, t.min_amount_out, t.amount_out, t.moves
    FROM unnest(
        p_signatures, p_slots, p_raws, p_errors, p_memos, p_signers, p_venues, p_pools, p_amounts_in,
        p_min_amounts_out, p_amounts_out, p_moves
    ) AS t (signature, slot, raw, error, memo, signer, venue, pool, amount_in, min_amount_out, amount_out, moves)
    WHERE t.slot > v_closed_slot OR t.raw IS NOT NULL ORDER BY t.signature COLLATE "C"
    ON CONFLICT (signature) DO NOTHING;
    RETURN QUERY SELECT t.signature FROM unnest(p_signatures, p_slots, p_raws) AS t (signature, slot, raw)
        WHERE t.slot <= v_closed_slot AND t.raw IS NULL;
END $$;

-- Closes the slots up to p_slot, or up to the first one in which something is still in flight. Returns that slot, which
-- is to be landed first, and where history begins.
CREATE OR REPLACE FUNCTION simulated_chain.close(
    p_slot bigint, OUT due_slot bigint, OUT first_available_slot bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_until_slot bigint;
    v_closed_slot bigint;
BEGIN
    PERFORM 1 FROM simulated_chain.ledger WHERE closed_slot < p_slot;
    IF FOUND THEN
        PERFORM pg_advisory_xact_lock({CLOSE_LOCK});
        SELECT min(t.slot) INTO due_slot FROM simulated_chain.transactions t
            WHERE t.raw IS NOT NULL AND t.slot <= p_slot;
        v_until_slot := coalesce(due_slot - 1, p_slot);
        SELECT closed_slot INTO v_closed_slot FROM simulated_chain.ledger;
        IF v_closed_slot < v_until_slot THEN
            INSERT INTO simulated_chain.moves (slot, pool, moved_x_base)
            SELECT t.slot, m.key, sum(m.value::numeric)
            FROM simulated_chain.transactions t, jsonb_each_text(t.moves) m
            WHERE t.slot > v_closed_slot AND t.slot <= v_until_slot GROUP BY t.slot, m.key;
            UPDATE simulated_chain.ledger SET closed_slot = v_until_slot;
        END IF;
    END IF;
    SELECT l.first_available_slot INTO first_available_slot FROM simulated_chain.ledger l;
END $$;
"""


def install(conninfo: str) -> None:
    """Create whatever is missing in the chain's database. Safe to repeat, and to race."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [INSTALL_LOCK])
        connection.execute(SCHEMA)


def create_database_if_missing(conninfo: str) -> None:
    """Create the database that `conninfo` names, from the server's `postgres` database. Safe to race.

    Raises `psycopg.OperationalError` when the server can't be reached.
    """
    try:
        psycopg.connect(conninfo).close()
        return
    except psycopg.OperationalError:
        pass  # missing, or no server: the next connection tells
    database = str(conninfo_to_dict(conninfo).get("dbname") or "")
    maintenance = make_conninfo(conninfo, dbname="postgres")
    create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
    # Another process may be first.
    taken = suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
    with taken, psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(create)
