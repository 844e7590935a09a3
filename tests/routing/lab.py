"""A simulated chain on an empty database, a clock that only tests move, and ready-made swaps."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import psycopg
from solders.keypair import Keypair

from routing.chain import LandedTransaction, SignatureStatus
from routing.market import Market
from routing.pool import Pool
from routing.registry import open_venues
from routing.simulated_chain import SimulatedChain
from routing.simulated_node import SimulatedNode
from routing.simulation import SimulationConfig
from routing.tokens import SOL, USDC, Token
from routing.transaction import SignedTransaction, build_swap
from routing.venue import Pair, Reading, Swap, SwapTerms

T = TypeVar("T")

STARTED_AT_S = 1_800_000_000.0


class ManualClock:
    """Seconds of the epoch, moved by hand."""

    def __init__(self, now_s: float = STARTED_AT_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def pass_slots(self, slots: int, *, slot_ms: int = 400) -> None:
        self.now_s += slots * slot_ms / 1_000


class ChainLab:
    """Opens chains (each is one process's view) on one empty database, and builds transactions."""

    def __init__(self, conninfo: str, clock: ManualClock, signer: Keypair) -> None:
        self.conninfo = conninfo
        self.clock = clock
        self.signer = signer
        self._opened: list[SimulatedChain] = []

    def open(self, *, clock: Callable[[], float] | None = None, **config: object) -> SimulatedChain:
        settings = {"quote_delay_ms": 0, "swap_delay_ms": (0, 0), **config}
        chain = SimulatedChain(
            SimulationConfig(**settings),
            self.conninfo,
            clock=clock or self.clock,
            pool_size=4,
            timeout_s=2.0,
        )
        self._opened.append(chain)
        return chain

    def node(self, **config: object) -> SimulatedNode:
        """An endpoint with its bad days. Its slowness only moves the clock."""
        chain = self.open(**config)
        return SimulatedNode(chain, chain.config, sleep=self.clock.sleep)

    def swap_transaction(
        self,
        chain: SimulatedChain | SimulatedNode,
        memo: str,
        *,
        amount_in_base: int = 10**9,
        min_amount_out_base: int = 1,
        venue: str = "raydium",
    ) -> SignedTransaction:
        """SOL to USDC, on the chain's latest blockhash."""
        swap = Swap(SOL, USDC, amount_in_base)
        terms = SwapTerms(pools_of(venue, SOL, USDC)[0].address, swap, min_amount_out_base)
        instruction = chain.venues[venue].instruction(terms, owner=self.signer.pubkey())
        blockhash = chain.latest_blockhash().blockhash
        return build_swap(instruction, memo=memo, blockhash=blockhash, signer=self.signer)

    def restart(self) -> None:
        """Wipe the chain and set the clock back: the same seed then gives the same chain again."""
        self.close()
        empty(self.conninfo)
        self.clock.now_s = STARTED_AT_S

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()


class PromptFeed:
    """A venue's answer that never waits, and so never fails."""

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        return Reading(0, {})


# Pools live at the same address in every market, so these venues know it even while a chain's are faulty.
PROMPT_VENUES = open_venues(Market(seed=1), PromptFeed(), slot_ms=400)


def pools_of(venue: str, a: Token, b: Token) -> tuple[Pool, ...]:
    """The venue's pools of the pair, at slot 0."""
    return asyncio.run(PROMPT_VENUES[venue].pools([(a, b)]))


def empty(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "TRUNCATE simulated_chain.ledger, simulated_chain.transactions, simulated_chain.moves,"
            " simulated_chain.sends"
        )


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run the calls in threads that start at the same instant, and return what they return."""
    start = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait(timeout=10)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def wait_for_a_blocked_lock(conninfo: str) -> None:
    """Until a session of this database waits for an advisory lock."""
    deadline = time.monotonic() + 5
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while time.monotonic() < deadline:
            waiting = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND wait_event = 'advisory'"
            ).fetchone()
            if waiting:
                return
    raise AssertionError("nobody waits for the lock")


def status(
    chain: SimulatedChain | SimulatedNode, signature: str, *, history: bool = False
) -> SignatureStatus | None:
    return chain.statuses([signature], search_history=history).statuses[0]


def receipt(chain: SimulatedChain | SimulatedNode, signature: str) -> LandedTransaction:
    (landed,) = chain.transactions([signature])
    assert landed is not None
    return landed


def foreseen(chain: SimulatedChain | SimulatedNode, raw: bytes) -> str | None:
    """The code with which the transaction would end now."""
    (trouble,) = chain.simulate_many([raw])
    return trouble.code if trouble else None


def rows(lab: ChainLab) -> int:
    with psycopg.connect(lab.conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM simulated_chain.transactions").fetchone()
    assert row is not None
    return int(row[0])
