"""`python -m benchmarks.routing_speed`: how long a routing decision takes without any waiting, and what dividing earns.

The timed decisions are over pools of the simulated market, constant products and bins, each at another slot.
What is earned is measured over made-up pools: one pair, 1,000 to 10,000 SOL deep, up to 0.3 % around a price of 150,
with fees of Raydium's tiers up to 1 %.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table

from routing.answers import Answer
from routing.cpmm import FEE_TIERS_PPM, CpmmPool
from routing.market import Market
from routing.registry import open_venues
from routing.rounding import BPS
from routing.router import Terms, decide
from routing.simulated_bins import DlmmListing
from routing.simulated_cpmm import CpmmListing
from routing.simulated_pools import Listing, SimulatedPools
from routing.split import Part, best_split
from routing.tokens import SOL, USDC
from routing.venue import Pair, Program, Reading, Swap

SEED = 1
ORDERS = 500
DECISIONS = 200
MAX_LEGS = 4
# The network fee of a transaction, 5,000 lamports, at 150 dollars.
LEG_COST_BASE = 750

TIMED_BPS = (1, 100, 1_000)
IMPROVED_BPS = (100, 500, 1_000)
"""How large the orders are: basis points of the deepest pool's SOL."""


@dataclass(frozen=True)
class Order:
    pools: list[CpmmPool]
    amount_in_base: int


def main() -> None:
    console = Console()
    console.print(speed_table())
    console.print(improvement_table())


def speed_table() -> Table:
    table = Table(title=f"One decision (routing.router.decide), of {DECISIONS}")
    for column in ("pools", "of the deepest", "median, µs", "p99, µs", "legs"):
        table.add_column(column, justify="right")
    for count in (2, 4, 10, 20):
        for size_bps in TIMED_BPS:
            took_us, legs = timed(count=count, size_bps=size_bps)
            slowest_us = took_us[len(took_us) * 99 // 100]
            row = (
                f"{size_bps / 100:g} %",
                f"{median(took_us):.0f}",
                f"{slowest_us:.0f}",
                f"{legs:.1f}",
            )
            table.add_row(str(count), *row)
    return table


def improvement_table() -> Table:
    table = Table(title="Over the best single pool, net, bps")
    for column in ("pools", *(f"{size_bps / 100:g} %" for size_bps in IMPROVED_BPS)):
        table.add_column(column, justify="right")
    for count in (2, 4, 10, 20):
        gains = (improvement_bps(count=count, size_bps=size_bps) for size_bps in IMPROVED_BPS)
        table.add_row(str(count), *(f"{gain:.1f}" for gain in gains))
    return table


def timed(*, count: int, size_bps: int) -> tuple[list[float], float]:
    """Microseconds of each decision, the fastest first; the mean number of legs."""
    market, took_us, legs = Market(seed=SEED), [], 0
    opened = open_venues(market, Unread(), slot_ms=400).values()
    venues = [simulated(venue, market) for venue in opened]
    for slot in range(1_000, 1_000 + 997 * DECISIONS, 997):
        listed = [(venue, pool) for venue in venues for pool in venue.for_pair(SOL, USDC)]
        some = Random(slot).sample(listed, count)
        pools = [venue.state(pool.address, slot=slot) for venue, pool in some]
        amount_base = max(pool.reserve_base(SOL) for pool in pools) * size_bps // BPS
        terms = Terms(market.reference_prices([SOL, USDC], slot), 5_000, 20_000)
        swap, answers = Swap(SOL, USDC, amount_base), [Answer("any", tuple(pools))]
        started = perf_counter()
        decision = decide(swap, answers, terms)
        took_us.append((perf_counter() - started) * 1e6)
        legs += len(decision.route.legs)
    return sorted(took_us), legs / DECISIONS


def simulated(venue: Program, market: Market) -> SimulatedPools:
    """Ten pools of every pair, of either kind in turn."""
    listings: list[Listing] = []
    for index, bin_step in enumerate((5, 10, 20, 50, 100)):
        fee_ppm, share_pct = FEE_TIERS_PPM[index], 40 - 8 * index
        listings.append(CpmmListing(fee_ppm=fee_ppm, share_pct=share_pct, config_index=index))
        listings.append(DlmmListing(bin_step=bin_step, share_pct=5 - index))
    return SimulatedPools(venue, listings, market=market, feed=Unread(), slot_ms=400)


class Unread:
    """A feed that nobody reads: states are asked for by their slots."""

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        raise NotImplementedError


def improvement_bps(*, count: int, size_bps: int) -> float:
    """The median over random pools of what the best division pays beyond the best single pool, net."""
    gains = []
    for order in orders(count=count, size_bps=size_bps):
        fills = [pool.exact_in(SOL, order.amount_in_base) for pool in order.pools]
        single_base = max(fill.amount_out_base for fill in fills) - LEG_COST_BASE
        net_base = sum(part.fill.amount_out_base - LEG_COST_BASE for part in split(order))
        gains.append((net_base - single_base) * BPS / single_base)
    return median(gains)


def split(order: Order) -> tuple[Part, ...]:
    return best_split(
        order.pools,
        token_in=SOL,
        amount_in_base=order.amount_in_base,
        leg_cost_base=LEG_COST_BASE,
        max_legs=MAX_LEGS,
    )


def orders(*, count: int, size_bps: int) -> Iterator[Order]:
    """The same ones whenever it is called with the same numbers."""
    rng = Random(SEED)
    fees_ppm = [fee_ppm for fee_ppm in FEE_TIERS_PPM.values() if fee_ppm <= 10_000]
    for _ in range(ORDERS):
        pools = []
        for n in range(count):
            sol_base = int(10 ** rng.uniform(12, 13))
            usdc_base = sol_base * rng.randint(149_550, 150_450) // 10**6
            fee_ppm = rng.choice(fees_ppm)
            pools.append(CpmmPool("raydium", f"{n}", SOL, USDC, 1, sol_base, usdc_base, fee_ppm))
        deepest_base = max(pool.reserve_x_base for pool in pools)
        yield Order(pools, deepest_base * size_bps // BPS)


if __name__ == "__main__":
    main()
