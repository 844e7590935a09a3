import random
import subprocess
import sys
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.market import DRIFT_OCTAVES, PRICE_OCTAVES, Market
from routing.tokens import TOKENS

SOL, USDC, BONK = TOKENS["SOL"], TOKENS["USDC"], TOKENS["BONK"]
slots = st.integers(0, 10**7)


def pool_price(market: Market, pool: str, slot: int) -> float:
    reserves = market.reserves(pool=pool, token_0=SOL, token_1=BONK, share_pct=50, slot=slot)
    return reserves.token_1_base / reserves.token_0_base


@given(st.integers(), slots)
@settings(max_examples=30)
def test_a_price_is_a_function_of_seed_and_slot_alone(seed: int, slot: int) -> None:
    direct, wandering = Market(seed=seed), Market(seed=seed)
    for earlier in range(max(0, slot - 20), slot):
        wandering.price_pico_usd(SOL, earlier)

    assert direct.price_pico_usd(SOL, slot) == wandering.price_pico_usd(SOL, slot)
    assert pool_price(direct, "a", slot) == pool_price(wandering, "a", slot)


def test_another_process_sees_the_same_market() -> None:
    market = Market(seed=7)
    script = (
        "from routing.market import Market; from routing.tokens import TOKENS;"
        "m = Market(seed=7);"
        "print([m.price_pico_usd(t, s) for t in TOKENS.values() for s in (0, 123_456)])"
    )

    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    ).stdout

    prices = [market.price_pico_usd(t, s) for t in TOKENS.values() for s in (0, 123_456)]
    assert printed.strip() == str(prices)


def test_seeds_and_slots_differ() -> None:
    prices = {
        Market(seed=seed).price_pico_usd(SOL, slot) for seed in range(5) for slot in (0, 5_000)
    }

    assert len(prices) == 10


@pytest.mark.parametrize("symbol", TOKENS)
def test_a_price_stays_within_its_bounds_and_moves_unless_it_is_the_unit(symbol: str) -> None:
    market = Market(seed=1)
    prices = [market.price_pico_usd(TOKENS[symbol], slot) for slot in range(0, 500_000, 977)]

    # Volatility 150 of 20.2 % is the widest any token may stray.
    assert max(prices) < 2 * min(prices)
    assert (len(set(prices)) == 1) == (symbol == "USDC")


def test_pools_are_two_percent_apart_at_times_and_never_more_than_their_drifts() -> None:
    market, rng = Market(seed=1), random.Random(5)
    spreads = []
    for slot in rng.sample(range(10**6), 500):
        a, b = pool_price(market, "a", slot), pool_price(market, "b", slot)
        spreads.append(abs(a - b) / max(a, b))

    widest = 2 * sum(octave.amplitude_ppm for octave in DRIFT_OCTAVES) / 10**6
    assert 0.02 < max(spreads) <= widest <= 0.05


def test_a_pool_moves_well_under_20_bps_while_a_swap_lands() -> None:
    market, rng = Market(seed=1), random.Random(6)
    moves = []
    for slot in rng.sample(range(10**6), 500):
        before, after = pool_price(market, "a", slot), pool_price(market, "a", slot + 8)
        moves.append(abs(after / before - 1) * 10**4)

    assert sorted(moves)[494] < 15
    assert sum(move > 0.05 for move in moves) > 250


@given(slots)
def test_a_pool_keeps_its_depth_whatever_the_price(slot: int) -> None:
    market = Market(seed=1)
    k = [
        prod((r.token_0_base, r.token_1_base))
        for r in (
            market.reserves(pool="a", token_0=SOL, token_1=BONK, share_pct=50, slot=at)
            for at in (slot, 0)
        )
    ]

    assert abs(k[0] / k[1] - 1) < 1e-9


def test_a_bigger_share_is_a_deeper_pool_at_the_same_price() -> None:
    market = Market(seed=1)
    small, large = (
        market.reserves(pool="a", token_0=SOL, token_1=USDC, share_pct=share_pct, slot=9)
        for share_pct in (20, 60)
    )

    assert large.token_0_base / small.token_0_base == pytest.approx(3)
    assert large.token_1_base / small.token_1_base == pytest.approx(3)


@given(st.integers(1, 10**12), slots)
def test_converting_a_cost_rounds_up(lamports: int, slot: int) -> None:
    market = Market(seed=1)

    usdc = market.convert(lamports, SOL, USDC, slot=slot)

    assert usdc >= 1
    # The price of a whole SOL in pico dollars is 10**6 times its price in base units of USDC.
    exact = lamports * market.price_pico_usd(SOL, slot)
    assert (usdc - 1) * 10**15 < exact <= usdc * 10**15


def test_the_octaves_keep_every_price_above_zero() -> None:
    assert sum(octave.amplitude_ppm for octave in PRICE_OCTAVES) * 150 // 100 < 500_000
