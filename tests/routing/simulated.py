"""The pools that tests of simulated ones look at: deep and shallow ones of both kinds, in the market of seed 1."""

import random
from itertools import combinations
from types import SimpleNamespace

from routing import meteora, raydium
from routing.market import Market
from routing.simulated_pools import Listed, Listing, SimulatedPools
from routing.tokens import SOL, TOKENS, USDC
from tests.routing.lab import PromptFeed

SLOT_MS = 400
MARKET = Market(seed=1)
PAIRS = [pair for pair in combinations(TOKENS.values(), 2) if SOL in pair or USDC in pair]
LISTINGS: dict[str, tuple[Listing, ...]] = {"product": raydium.LISTINGS, "binned": meteora.LISTINGS}
PROGRAMS = {"product": raydium.PROGRAM_ID, "binned": meteora.PROGRAM_ID}


def venue_of(name: str, market: Market) -> SimulatedPools:
    venue = SimpleNamespace(name=name, program_id=PROGRAMS[name])
    return SimulatedPools(venue, LISTINGS[name], market=market, feed=PromptFeed(), slot_ms=SLOT_MS)


VENUES = {name: venue_of(name, MARKET) for name in LISTINGS}


def random_slots(seed: int, count: int = 30) -> list[int]:
    return random.Random(seed).sample(range(1_000, 10**7), count)


def price_of(pool: Listed, slot: int) -> int:
    return MARKET.pool_price(
        pool=pool.address, token_x=pool.token_x, token_y=pool.token_y, slot=slot
    )
