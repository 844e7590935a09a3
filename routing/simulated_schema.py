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

-- Takes a transaction, landed or in flight; a signature known already changes nothing. False if its slot is
-- sealed: the sender was held up for so long that the slot became final without the transaction. The
-- shared lock makes a seal wait for sends under way; each statement of a function sees what was
-- committed before it, so a send that waited for a seal sees that seal.
CREATE OR REPLACE FUNCTION simulated_chain.take(
    p_signature text, p_slot bigint, p_raw bytea, p_error text, p_memo text, p_signer text, p_venue text,
    p_pool text, p_amount_in_base numeric, p_min_amount_out_base numeric, p_amount_out_base numeric
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({SEAL_LOCK});
    PERFORM 1 FROM simulated_chain.ledger WHERE sealed_slot >= p_slot;
    IF FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO simulated_chain.transactions (
        signature, slot, raw, error, memo, signer, venue, pool, amount_in_base, min_amount_out_base,
        amount_out_base
    ) VALUES (
        p_signature, p_slot, p_raw, p_error, p_memo, p_signer, p_venue, p_pool, p_amount_in_base,
        p_min_amount_out_base, p_amount_out_base
    ) ON CONFLICT (signature) DO NOTHING;
    RETURN true;
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
