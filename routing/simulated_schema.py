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
SEAL_LOCK: Final = 7_330_002
LANDING_LOCK: Final = 7_330_003

SCHEMA: Final = f"""
CREATE SCHEMA IF NOT EXISTS simulated_chain;

-- One row: when the chain began, and what can no longer change.
CREATE TABLE IF NOT EXISTS simulated_chain.ledger (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    genesis_hash text NOT NULL,
    genesis_ms bigint NOT NULL,
    slot_ms integer NOT NULL,
    -- Somebody was told that slots up to here are final: nothing may land in them any more.
    sealed_slot bigint NOT NULL DEFAULT -1,
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
    CHECK (raw IS NULL OR (error IS NULL AND amount_out_base = 0)),
    CHECK (error IS NULL OR amount_out_base = 0)
);
-- For landing what is due, in its order.
CREATE INDEX IF NOT EXISTS transactions_in_flight
    ON simulated_chain.transactions (slot, signature) WHERE raw IS NOT NULL;
-- For purge. BRIN: rows come in the order of their slots, and a send pays almost nothing for it.
CREATE INDEX IF NOT EXISTS transactions_slot ON simulated_chain.transactions USING brin (slot);

-- For history: what a key signed, newest first.
CREATE INDEX IF NOT EXISTS transactions_of_signer
    ON simulated_chain.transactions (signer, slot DESC, signature DESC) WHERE raw IS NULL;

-- How often a signature was sent. Written only when faults are on: a drop is per send.
CREATE TABLE IF NOT EXISTS simulated_chain.sends (
    signature text COLLATE "C" PRIMARY KEY,
    times integer NOT NULL DEFAULT 1,
    slot bigint NOT NULL
);

-- Takes transactions, landed or in flight; a signature known already changes nothing. Returns the signatures
-- whose slot is sealed: their sender was held up for so long that the slot became final without them. The
-- shared lock makes a seal wait for sends under way; each statement of a function sees what was
-- committed before it, so a send that waited for a seal sees that seal. In the order of signatures, so that
-- two senders of the same transactions can't wait for each other.
CREATE OR REPLACE FUNCTION simulated_chain.take(
    p_signatures text[], p_slots bigint[], p_raws bytea[], p_errors text[], p_memos text[], p_signers text[],
    p_venues text[], p_pools text[], p_amounts_in numeric[], p_min_amounts_out numeric[], p_amounts_out numeric[]
) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    v_sealed_slot bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared({SEAL_LOCK});
    SELECT sealed_slot INTO v_sealed_slot FROM simulated_chain.ledger;
    INSERT INTO simulated_chain.transactions (
        signature, slot, raw, error, memo, signer, venue, pool, amount_in_base, min_amount_out_base,
        amount_out_base
    )
    SELECT t.* FROM unnest(
        p_signatures, p_slots, p_raws, p_errors, p_memos, p_signers, p_venues, p_pools, p_amounts_in,
        p_min_amounts_out, p_amounts_out
    ) AS t (signature, slot) WHERE t.slot > v_sealed_slot ORDER BY t.signature COLLATE "C"
    ON CONFLICT (signature) DO NOTHING;
    RETURN QUERY SELECT t.signature FROM unnest(p_signatures, p_slots) AS t (signature, slot)
        WHERE t.slot <= v_sealed_slot;
END $$;

-- Closes the slots up to p_slot, and returns where history begins.
CREATE OR REPLACE FUNCTION simulated_chain.seal(p_slot bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM simulated_chain.ledger WHERE sealed_slot < p_slot;
    IF FOUND THEN
        PERFORM pg_advisory_xact_lock({SEAL_LOCK});
        UPDATE simulated_chain.ledger SET sealed_slot = p_slot WHERE sealed_slot < p_slot;
    END IF;
    RETURN (SELECT first_available_slot FROM simulated_chain.ledger);
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
