"""Pools, answers and terms for decisions, made up or the real venues' at slot 0."""

from routing.answers import Answer
from routing.cpmm import CpmmPool
from routing.market import Market
from routing.pool import Pool
from routing.route import ReferencePrices
from routing.router import Terms, pairs_of
from routing.tokens import SOL, TOKENS, USDC
from routing.venue import Swap
from tests.routing.lab import PROMPT_VENUES, pools_of

JUP, BONK = TOKENS["JUP"], TOKENS["BONK"]
# A SOL is worth 100 dollars, so 5,000 lamports are half a thousandth of a dollar: 500 base units of USDC.
PRICES = ReferencePrices({"SOL": 100 * 10**12, "USDC": 10**12, "JUP": 10**12, "BONK": 2 * 10**7})
TERMS = Terms(PRICES, network_fee_lamports=5_000, leg_cost_lamports=0)
ONE_SOL = Swap(SOL, USDC, 10**9)


def a_pool(
    name: str,
    *,
    sol: int = 10_000,
    usdc: int = 1_000_000,
    venue: str = "a",
    fee_ppm: int = 0,
    slot: int = 1,
) -> Pool:
    """SOL and USDC in whole tokens."""
    return CpmmPool(venue, name, SOL, USDC, slot, sol * 10**9, usdc * 10**6, fee_ppm)


def answers(*pools: Pool) -> list[Answer]:
    venues = dict.fromkeys(pool.venue for pool in pools)
    return [Answer(v, tuple(pool for pool in pools if pool.venue == v)) for v in venues]


def failed(venue: str, code: str, *, retryable: bool) -> Answer:
    return Answer(venue, error_code=code, error=f"{venue} says {code}", retryable=retryable)


def pools_for(swap: Swap) -> list[Answer]:
    """What the real venues answer, at slot 0."""
    return [
        Answer(name, tuple(pool for pair in pairs_of(swap) for pool in pools_of(name, *pair)))
        for name in PROMPT_VENUES
    ]


def market_terms(swap: Swap, *, leg_cost_lamports: int = 5_000) -> Terms:
    tokens = {t for pair in pairs_of(swap) for t in pair} | {SOL}
    return Terms(
        Market(seed=1).reference_prices(list(tokens), 0),
        network_fee_lamports=5_000,
        leg_cost_lamports=leg_cost_lamports,
    )
