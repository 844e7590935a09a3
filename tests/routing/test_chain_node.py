"""What a node of the simulated chain remembers, its faults, and its database."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from routing.errors import FateUnknown, Unavailable
from routing.simulated_chain import SimulatedChain
from routing.simulated_schema import create_database_if_missing, install
from routing.simulation import SimulationConfig
from tests.routing.lab import (
    ChainLab,
    ManualClock,
    receipt,
    status,
    together,
)

# What a node remembers


def test_the_status_cache_forgets_what_history_keeps(lab: ChainLab) -> None:
    chain = lab.open()
    sent = lab.swap_transaction(chain, "order:1")
    chain.send(sent.raw)

    lab.clock.pass_slots(149)
    assert status(chain, sent.signature) is not None

    lab.clock.pass_slots(1)
    assert status(chain, sent.signature) is None
    assert status(chain, sent.signature, history=True) is not None
    assert receipt(chain, sent.signature).memo == "order:1"


def test_answers_come_in_the_order_asked(lab: ChainLab) -> None:
    chain = lab.open()
    memos = ["a", "b", "c"]
    signatures = [chain.send(lab.swap_transaction(chain, memo).raw) for memo in memos]
    asked = [signatures[2], "unknown", signatures[0], signatures[2]]

    statuses = chain.statuses(asked)

    assert [found is not None for found in statuses.statuses] == [True, False, True, True]
    assert statuses.slot == chain.head().slot
    landed = chain.transactions(asked)
    assert [each and each.memo for each in landed] == ["c", None, "a", "c"]


def test_a_node_that_lags_does_not_know_the_future(lab: ChainLab) -> None:
    ahead = lab.open()
    lagging = lab.open(clock=ManualClock())
    lagging.head()
    lab.clock.pass_slots(3)
    sent = lab.swap_transaction(ahead, "order:1")
    ahead.send(sent.raw)

    assert status(lagging, sent.signature) is None
    assert lagging.transactions([sent.signature]) == (None,)
    assert lagging.statuses([sent.signature]).slot == ahead.head().slot - 3


def test_more_than_256_signatures_are_refused(lab: ChainLab) -> None:
    chain = lab.open()

    assert len(chain.statuses(["x"] * 256).statuses) == 256
    with pytest.raises(ValueError, match="256"):
        chain.statuses(["x"] * 257)


def test_a_purge_forgets_the_old_and_says_so(lab: ChainLab) -> None:
    chain, other = lab.open(), lab.open()
    old = lab.swap_transaction(chain, "old")
    chain.send(old.raw)
    other.head()
    lab.clock.pass_slots(500)
    young = lab.swap_transaction(chain, "young")
    chain.send(young.raw)
    before_slot = chain.head().slot - 400

    assert chain.purge(before_slot) == 1
    assert chain.purge(before_slot) == 0

    answer = other.statuses([old.signature, young.signature], search_history=True)
    assert [found is not None for found in answer.statuses] == [False, True]
    assert answer.first_available_slot == before_slot
    assert other.head().first_available_slot == before_slot
    chain.send(old.raw)
    assert status(chain, old.signature, history=True) is None


def test_a_purge_keeps_what_could_be_sent_again(lab: ChainLab) -> None:
    chain = lab.open()
    sent = lab.swap_transaction(chain, "order:1")
    chain.send(sent.raw)
    lab.clock.pass_slots(150)

    assert chain.purge(10**9) == 0
    assert status(chain, sent.signature, history=True) is not None


# Its database


def test_sending_is_one_statement_and_so_is_asking(
    lab: ChainLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = lab.open()
    sent = lab.swap_transaction(chain, "order:1")
    chain.head()
    chain.reading()  # both once a slot
    statements: list[str] = []
    execute = psycopg.Connection.execute

    def counted(connection: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if not str(query).startswith("SET"):  # the pool, preparing another connection
            statements.append(str(query))
        return execute(connection, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    calls: list[tuple[Callable[[], object], int]] = [
        (chain.latest_blockhash, 0),
        (chain.head, 0),
        (lambda: chain.simulate_many([sent.raw]), 0),
        (lambda: chain.send(sent.raw), 1),
        (lambda: chain.statuses([sent.signature]), 1),
        (lambda: chain.transactions([sent.signature]), 1),
    ]
    for call, expected in calls:
        statements.clear()
        call()
        assert len(statements) == expected, statements


def test_processes_that_race_to_prepare_the_database_all_succeed(chain_conninfo: str) -> None:
    name = "routing_test_race"
    conninfo = psycopg.conninfo.make_conninfo(chain_conninfo, dbname=name)
    with psycopg.connect(chain_conninfo, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        try:

            def prepare() -> None:
                create_database_if_missing(conninfo)
                install(conninfo)

            together([prepare] * 6)
            chain = SimulatedChain(SimulationConfig(), conninfo)
            assert chain.head().slot > 0
            chain.close()
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_without_its_database_reads_are_unavailable_and_sends_of_unknown_fate(
    lab: ChainLab,
) -> None:
    sent = lab.swap_transaction(lab.open(), "order:1")
    nowhere = "postgresql://root@127.0.0.1:1/nowhere"
    chain = SimulatedChain(SimulationConfig(), nowhere, pool_size=1, timeout_s=0.05)

    reads: list[Callable[[], object]] = [
        chain.latest_blockhash,
        chain.head,
        lambda: chain.statuses(["x"]),
        lambda: chain.transactions(["x"]),
        lambda: chain.simulate_many([sent.raw]),
    ]
    for read in reads:
        with pytest.raises(Unavailable) as error:
            read()
        assert error.value.code == "RPC_UNAVAILABLE"
    with pytest.raises(FateUnknown):
        chain.send(sent.raw)
    chain.close()


def test_a_chain_goes_on_after_its_database_restarted(lab: ChainLab) -> None:
    chain = lab.open()
    sent = lab.swap_transaction(chain, "order:1")
    chain.send(sent.raw)
    with psycopg.connect(lab.conninfo, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with pytest.raises(Unavailable):
        chain.transactions([sent.signature])

    assert receipt(chain, sent.signature).memo == "order:1"
