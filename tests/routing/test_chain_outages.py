"""A chain whose database keeps its connections and says nothing: nobody waits for it for long."""

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from routing.errors import FateUnknown, Unavailable
from routing.simulated_chain import SimulatedChain
from routing.simulation import SimulationConfig
from tests.outage_proxy import OutageProxy
from tests.routing.lab import ChainLab, receipt, together
from tests.waiting import wait_until

TIMEOUT_S = 0.5


@pytest.fixture
def proxy(lab: ChainLab) -> Iterator[OutageProxy]:
    with OutageProxy(lab.conninfo) as proxy:
        yield proxy


@pytest.fixture
def chain(lab: ChainLab, proxy: OutageProxy) -> Iterator[SimulatedChain]:
    config = SimulationConfig(quote_delay_ms=0, swap_delay_ms=(0, 0))
    chain = SimulatedChain(config, proxy.url, clock=lab.clock, timeout_s=TIMEOUT_S)
    yield chain
    chain.close()


def test_while_the_database_is_silent_each_call_ends_in_time_and_then_all_is_well_again(
    chain: SimulatedChain, lab: ChainLab, proxy: OutageProxy
) -> None:
    sent = lab.swap_transaction(chain, "order:1")
    chain.send(sent.raw)
    proxy.go_dark()

    reads: list[Callable[[], object]] = [
        lambda: chain.transactions([sent.signature]),
        lambda: chain.statuses([sent.signature]),
        lambda: chain.history(str(lab.signer.pubkey())),
    ]
    begun = time.monotonic()
    for read in reads:
        with pytest.raises(Unavailable):
            read()
    with pytest.raises(FateUnknown):
        chain.send(lab.swap_transaction(chain, "order:2").raw)
    assert time.monotonic() - begun < (len(reads) + 1) * TIMEOUT_S + 1

    proxy.recover()
    wait_until(lambda: answers(chain, sent.signature), what="the chain's answer")
    assert receipt(chain, sent.signature).memo == "order:1"


def test_connections_that_were_idle_in_the_dark_cost_no_call_a_wait_each(
    chain: SimulatedChain, lab: ChainLab, proxy: OutageProxy
) -> None:
    wait_until(lambda: has_grown(chain, lab), what="a pool of several connections")
    proxy.go_dark()

    begun = time.monotonic()
    with pytest.raises(Unavailable):
        chain.transactions(["x"])

    assert time.monotonic() - begun < 2 * TIMEOUT_S


def has_grown(chain: SimulatedChain, lab: ChainLab) -> bool:
    together([lambda: chain.transactions(["x"])] * 8)
    with psycopg.connect(lab.conninfo) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        ).fetchone()
    return row is not None and row[0] > 4


def answers(chain: SimulatedChain, signature: str) -> bool:
    try:
        return chain.transactions([signature]) != (None,)
    except Unavailable:
        return False
