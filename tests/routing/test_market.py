import random
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.market import (
    FOLLOWED_SLOTS,
    JUMP_EPOCH_SLOTS,
    JUMP_FADES_IN_EPOCHS,
    JUMP_PPM,
    MAX_LAG_SLOTS,
    PRICE_OCTAVES,
    REFERENCES,
    Market,
    depth_base,
)
from routing.tokens import TOKENS, Token

SOL, USDC, BONK, MSOL = TOKENS["SOL"], TOKENS["USDC"], TOKENS["BONK"], TOKENS["mSOL"]
USDT = TOKENS["USDT"]
TWELVE_EPOCHS = range(12 * JUMP_EPOCH_SLOTS)
slots = st.integers(0, 10**7)

Line = Callable[[int], float]


def pool_line(market: Market, pool: str, x: Token = SOL, y: Token = USDC) -> Line:
    return lambda slot: market.pool_price(pool=pool, token_x=x, token_y=y, slot=slot) / 2**64


def bps_between(one: float, other: float) -> float:
    return abs(one / other - 1) * 10**4


class CalmMarket(Market):
    """The same market, but for its jumps."""

    def _jumps_ppm(self, symbol: str, slot: int) -> int:
        return 0


@pytest.fixture(scope="module")
def jumps_of_bonk() -> dict[int, float]:
    """In twelve epochs of seed 1: the steps from one to the next that no noise makes, by slot."""
    market = Market(seed=1)
    prices = [market.price_pico_usd(BONK, slot) for slot in TWELVE_EPOCHS]
    return {
        slot: after / before - 1
        for slot, (before, after) in zip(TWELVE_EPOCHS[1:], pairwise(prices), strict=True)
        if bps_between(after, before) > 7
    }


@given(st.integers(), slots)
@settings(max_examples=30)
def test_a_price_is_a_function_of_seed_and_slot_alone(seed: int, slot: int) -> None:
    direct, wandering = Market(seed=seed), Market(seed=seed)
    for earlier in range(max(0, slot - 20), slot):
        wandering.price_pico_usd(SOL, earlier)
        pool_line(wandering, "a")(earlier)

    assert direct.price_pico_usd(SOL, slot) == wandering.price_pico_usd(SOL, slot)
    assert pool_line(direct, "a")(slot) == pool_line(wandering, "a")(slot)


def test_another_process_sees_the_same_market() -> None:
    market = Market(seed=7)
    script = (
        "from routing.market import Market; from routing.tokens import SOL, TOKENS, USDC;"
        "m = Market(seed=7);"
        "print([m.price_pico_usd(t, s) for t in TOKENS.values() for s in (0, 123_456)],"
        "[m.pool_price(pool='a', token_x=SOL, token_y=USDC, slot=s) for s in (0, 123_456)])"
    )

    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    ).stdout

    prices = [market.price_pico_usd(t, s) for t in TOKENS.values() for s in (0, 123_456)]
    pool = [market.pool_price(pool="a", token_x=SOL, token_y=USDC, slot=s) for s in (0, 123_456)]
    assert printed.strip() == f"{prices} {pool}"


def test_seeds_slots_and_pools_differ() -> None:
    markets = [Market(seed=seed) for seed in range(5)]

    prices = {market.price_pico_usd(SOL, slot) for market in markets for slot in (0, 5_000)}
    pools = {pool_line(market, pool)(0) for market in markets for pool in "ab"}

    assert (len(prices), len(pools)) == (10, 10)


def test_no_price_can_reach_zero() -> None:
    jumps_felt = JUMP_FADES_IN_EPOCHS + 1
    worst_ppm = sum(octave.amplitude_ppm for octave in PRICE_OCTAVES) + jumps_felt * JUMP_PPM
    most_volatile_pct = max(reference.volatility_pct for reference in REFERENCES.values())

    # Not even 40 % of the base price.
    assert worst_ppm * most_volatile_pct <= 600_000 * 100


@pytest.mark.parametrize("symbol", TOKENS)
def test_a_price_stays_within_its_bounds_and_moves_unless_it_is_the_unit(symbol: str) -> None:
    market = Market(seed=1)
    prices = [market.price_pico_usd(TOKENS[symbol], slot) for slot in range(0, 2_000_000, 3_907)]

    # A volatility of 150 of 40 % is the widest any token may stray.
    assert max(prices) < 4 * min(prices)
    assert (len(set(prices)) == 1) == (symbol == "USDC")


def test_a_stable_coin_hardly_moves_and_staked_sol_follows_sol() -> None:
    market, sampled = Market(seed=1), range(0, 2_000_000, 3_907)

    usdt = [market.price_pico_usd(USDT, slot) / 10**12 for slot in sampled]
    staked = [market.price_pico_usd(MSOL, s) / market.price_pico_usd(SOL, s) for s in sampled]
    sol = [market.price_pico_usd(SOL, slot) / 10**12 for slot in sampled]

    assert max(bps_between(price, 0.9995) for price in usdt) < 40
    assert max(bps_between(price, 1.24) for price in staked) < 40
    assert max(sol) / min(sol) > 1.1


def test_a_price_jumps_in_some_epochs_and_otherwise_moves_by_a_few_basis_points(
    jumps_of_bonk: dict[int, float],
) -> None:
    jumps = jumps_of_bonk

    epochs = [slot // JUMP_EPOCH_SLOTS for slot in jumps]
    assert 0 < len(epochs) == len(set(epochs)) < 12
    # 4 % at a volatility of 150.
    assert 0.01 < max(abs(step) for step in jumps.values()) < 0.07


def test_every_volatile_token_jumps_at_times_of_its_own() -> None:
    market, calm = Market(seed=1), CalmMarket(seed=1)
    jumped = {
        symbol: [
            slot
            for slot in range(0, 600_000, 10_007)
            if bps_between(market.price_pico_usd(token, slot), calm.price_pico_usd(token, slot))
            > 20
        ]
        for symbol, token in TOKENS.items()
    }

    assert jumped.pop("USDC") == jumped.pop("USDT") == []
    assert jumped.pop("mSOL") == jumped["SOL"]
    assert all(jumped.values())
    assert len({tuple(slots) for slots in jumped.values()}) == len(jumped)


def test_a_jump_fades_within_four_epochs(jumps_of_bonk: dict[int, float]) -> None:
    market, calm = Market(seed=1), CalmMarket(seed=1)
    fades_in = JUMP_FADES_IN_EPOCHS * JUMP_EPOCH_SLOTS
    slot = max(jumps_of_bonk)

    lifts = [
        market.price_pico_usd(BONK, at) / calm.price_pico_usd(BONK, at) - 1
        for at in (slot - 1, slot, slot + fades_in // 2, slot + fades_in - 100, slot + fades_in)
    ]

    assert lifts[0] == lifts[4] == 0
    assert lifts[1] == pytest.approx(jumps_of_bonk[slot], abs=0.0007)
    assert lifts[2] == pytest.approx(lifts[1] / 2, rel=0.1)
    assert 0 < abs(lifts[3]) < abs(lifts[1]) / 100


@pytest.mark.parametrize("pool", ["a", "b", "c"])
def test_arbitrage_takes_a_pool_through_a_jump_in_steps_and_within_twelve_slots(
    pool: str, jumps_of_bonk: dict[int, float]
) -> None:
    price = pool_line(Market(seed=1), pool, BONK, USDC)
    calm_price = pool_line(CalmMarket(seed=1), pool, BONK, USDC)
    slot = max(jumps_of_bonk)
    at_last = slot + MAX_LAG_SLOTS + FOLLOWED_SLOTS

    lifts = [price(at) / calm_price(at) - 1 for at in range(slot - 1, at_last + 1)]

    assert lifts[0] == lifts[1] == 0
    assert lifts[-1] == pytest.approx(jumps_of_bonk[slot], abs=0.0007)
    steps = [abs(after - before) for before, after in pairwise(lifts)]
    assert [step > 0.0005 for step in steps].count(True) == FOLLOWED_SLOTS
    assert max(steps) < abs(jumps_of_bonk[slot]) / 3


def test_two_pools_are_some_basis_points_apart_and_at_times_some_percent() -> None:
    market, rng = Market(seed=1), random.Random(5)
    a, b = pool_line(market, "a"), pool_line(market, "b")

    spreads_bps = sorted(bps_between(a(slot), b(slot)) for slot in rng.sample(range(10**7), 4_000))

    assert 10 < median(spreads_bps) < 30
    assert 200 < spreads_bps[3_960] < 500


def test_pools_of_a_pair_that_hardly_parts_hardly_part() -> None:
    market, rng = Market(seed=1), random.Random(8)

    for x, y in ((MSOL, SOL), (SOL, MSOL), (USDT, USDC)):
        a, b = pool_line(market, "a", x, y), pool_line(market, "b", x, y)
        spreads_bps = [bps_between(a(slot), b(slot)) for slot in rng.sample(range(10**7), 300)]
        assert 0 < max(spreads_bps) < 35
    a, b = pool_line(market, "a", MSOL, USDC), pool_line(market, "b", MSOL, USDC)
    assert max(bps_between(a(slot), b(slot)) for slot in rng.sample(range(10**7), 300)) > 100


@pytest.mark.parametrize(("x", "y"), [(SOL, USDC), (BONK, SOL)])
def test_a_pool_moves_well_under_20_bps_while_a_swap_lands(x: Token, y: Token) -> None:
    price, rng = pool_line(CalmMarket(seed=1), "a", x, y), random.Random(6)

    moves_bps = sorted(
        bps_between(price(slot + 8), price(slot)) for slot in rng.sample(range(10**7), 2_000)
    )

    assert moves_bps[-1] < 20
    assert 0.5 < median(moves_bps) < 8


def test_a_pool_is_where_the_market_was_but_for_its_own_straying() -> None:
    market, rng = Market(seed=1), random.Random(7)
    distances_bps = []
    for slot in rng.sample(range(10**7), 500):
        reference = market.reference_price(SOL, USDC, slot=slot) / 2**64
        distances_bps.append(bps_between(pool_line(market, "a")(slot), reference))

    assert median(distances_bps) < 20


@given(slots, st.sampled_from([(SOL, USDC), (BONK, SOL), (MSOL, BONK)]))
def test_the_reference_price_is_in_base_units_of_y_for_one_of_x(
    slot: int, pair: tuple[Token, Token]
) -> None:
    market, (x, y) = Market(seed=1), pair

    dollars_of_x, dollars_of_y = (
        Fraction(market.price_pico_usd(token, slot), 10**12 * 10**token.decimals) for token in pair
    )

    exact = dollars_of_x / dollars_of_y * 2**64
    assert 0 <= exact - market.reference_price(x, y, slot=slot) < 1


@pytest.mark.parametrize(
    ("pair", "share_pct", "expected"),
    [
        # 60 % of 20 million dollars: 80,000 SOL at 150 dollars.
        ((SOL, USDC), 60, (80_000 * 10**9, 12_000_000 * 10**6)),
        # BONK is the thinner one: 10 % of 3 million dollars, at 22 millionths of a dollar.
        ((SOL, BONK), 10, (2_000 * 10**9, 300_000 * 10**6 * 10**5 // 22)),
        # Staked SOL is worth 1.24 SOL, so 186 dollars; 6 million dollars of it are 32,258.06 of them.
        ((MSOL, SOL), 100, (6_000_000 * 10**9 // 186, 40_000 * 10**9)),
    ],
)
def test_depth_is_worth_the_same_in_both_tokens_and_that_of_the_thinner(
    pair: tuple[Token, Token], share_pct: int, expected: tuple[int, int]
) -> None:
    assert depth_base(*pair, share_pct=share_pct) == expected


def test_a_draw_follows_from_seed_and_label() -> None:
    draws = [Market(seed=seed).draw(label) for seed in (1, 2) for label in ("a", "b")]

    assert [len(draw) for draw in draws] == [64] * 4
    assert len(set(draws)) == 4
    assert Market(seed=1).draw("a") == draws[0]


@given(st.integers(1, 10**12), slots)
def test_converting_a_cost_rounds_up(lamports: int, slot: int) -> None:
    market = Market(seed=1)

    usdc = market.reference_prices([SOL, USDC], slot).convert(lamports, SOL, USDC)

    assert usdc >= 1
    # The price of a whole SOL in pico dollars is 10**6 times its price in base units of USDC.
    exact = lamports * market.price_pico_usd(SOL, slot)
    assert (usdc - 1) * 10**15 < exact <= usdc * 10**15
