import json
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routing.cpmm import FEE_TIERS_PPM, CpmmPool
from routing.errors import Rejected
from routing.pool import MAX_U64, PRICE_ONE, Fill, Pool
from routing.tokens import SOL, TOKENS, USDC, Token

BONK = TOKENS["BONK"]


def pool_of(x: int, y: int, fee_ppm: int = 0) -> CpmmPool:
    return CpmmPool("raydium", "a pool", SOL, USDC, 7, x, y, fee_ppm)


def reserves_of(pool: CpmmPool, token_in: Token) -> tuple[int, int]:
    if token_in == SOL:
        return pool.reserve_x_base, pool.reserve_y_base
    return pool.reserve_y_base, pool.reserve_x_base


def paid(pool: CpmmPool, token_in: Token, amount_in: int) -> int:
    """0 where the pool refuses because it would pay nothing."""
    try:
        return pool.exact_in(token_in, amount_in).amount_out_base
    except Rejected as refusal:
        assert refusal.code == "AMOUNT_TOO_SMALL"
        return 0


def after(pool: CpmmPool, token_in: Token, fill: Fill) -> CpmmPool:
    """The pool once it took the fill, with the fee apart: the least that a pool can be left with."""
    net_in = fill.amount_in_base - fill.fee_base
    x, y = (net_in, -fill.amount_out_base) if token_in == SOL else (-fill.amount_out_base, net_in)
    return replace(
        pool, reserve_x_base=pool.reserve_x_base + x, reserve_y_base=pool.reserve_y_base + y
    )


reserves = st.integers(1, MAX_U64)
amounts = st.integers(0, MAX_U64)
fees_ppm = st.sampled_from([0, 1, *FEE_TIERS_PPM.values(), 999_999])
pools = st.builds(pool_of, reserves, reserves, fees_ppm)
tokens = st.sampled_from([SOL, USDC])


@pytest.mark.parametrize(
    ("pool", "amount_in", "expected"),
    [
        # By hand: the fee is ceil(1000 * 0.0025) = 3, the output floor(2_000_000 * 997 / 1_000_997).
        (pool_of(1_000_000, 2_000_000, 2_500), 1_000, Fill(1_000, 1_992, 3)),
        # Without a fee, doubling the reserve buys exactly half of the other one.
        (pool_of(1_000_000, 2_000_000), 1_000_000, Fill(1_000_000, 1_000_000, 0)),
        # Two base units, of which one is the fee: 10**9 * 1 / (10 + 1).
        (pool_of(10, 10**9, 2_500), 2, Fill(2, 90_909_090, 1)),
        # The largest amount into the largest pool: half of it, rounded down.
        (pool_of(MAX_U64, MAX_U64), MAX_U64, Fill(MAX_U64, MAX_U64 // 2, 0)),
        # A whole u64 into a pool of two units leaves the last one.
        (pool_of(1, 2), MAX_U64, Fill(MAX_U64, 1, 0)),
    ],
)
def test_a_swap_pays_what_the_formula_says(pool: Pool, amount_in: int, expected: Fill) -> None:
    assert pool.exact_in(SOL, amount_in) == expected


def test_the_other_direction_is_the_same_pool_turned_round() -> None:
    pool, turned = pool_of(3_000_001, 7_000_003, 2_500), pool_of(7_000_003, 3_000_001, 2_500)

    assert pool.exact_in(USDC, 12_345) == turned.exact_in(SOL, 12_345)
    assert pool.exact_out(USDC, 12_345) == turned.exact_out(SOL, 12_345)
    assert pool.at_mid(USDC, 12_345) == turned.at_mid(SOL, 12_345)
    assert pool.takes_above(USDC, PRICE_ONE // 4) == turned.takes_above(SOL, PRICE_ONE // 4) > 0
    assert (pool.reserve_base(SOL), pool.reserve_base(USDC)) == (3_000_001, 7_000_003)


@pytest.mark.parametrize(
    ("index", "fee"),
    [(0, 25), (1, 100), (2, 200), (3, 400), (4, 50), (5, 30), (6, 150), (7, 250)],
)
def test_each_fee_tier_takes_its_part_of_what_comes_in(index: int, fee: int) -> None:
    pool = pool_of(10**15, 10**15, FEE_TIERS_PPM[index])

    assert pool.exact_in(SOL, 10_000).fee_base == fee
    assert pool.exact_in(SOL, 10_001).fee_base == fee + 1


@given(pools, tokens, amounts)
def test_a_swap_agrees_with_exact_fractions(
    pool: CpmmPool, token_in: Token, amount_in: int
) -> None:
    reserve_in, reserve_out = reserves_of(pool, token_in)
    fee = ceil(Fraction(amount_in * pool.fee_ppm, 10**6))
    product = reserve_in * reserve_out
    amount_out = floor(reserve_out - Fraction(product, reserve_in + amount_in - fee))

    assert paid(pool, token_in, amount_in) == amount_out
    if amount_out:
        assert pool.exact_in(token_in, amount_in) == Fill(amount_in, amount_out, fee)


@given(pools, tokens, amounts)
def test_no_swap_creates_value(pool: CpmmPool, token_in: Token, amount_in: int) -> None:
    assume(paid(pool, token_in, amount_in))

    left = after(pool, token_in, pool.exact_in(token_in, amount_in))

    before = pool.reserve_x_base * pool.reserve_y_base
    assert left.reserve_x_base * left.reserve_y_base >= before
    assert min(left.reserve_x_base, left.reserve_y_base) > 0


@given(pools, tokens, amounts)
def test_swapping_there_and_back_never_profits(
    pool: CpmmPool, token_in: Token, amount_in: int
) -> None:
    assume(paid(pool, token_in, amount_in))
    there = pool.exact_in(token_in, amount_in)
    left = after(pool, token_in, there)
    token_out = USDC if token_in == SOL else SOL

    assert paid(left, token_out, there.amount_out_base) <= amount_in


@given(pools, tokens, amounts, amounts)
def test_more_in_never_pays_less_out(
    pool: CpmmPool, token_in: Token, one: int, another: int
) -> None:
    less, more = sorted((one, another))

    assert paid(pool, token_in, less) <= paid(pool, token_in, more)


@given(pools, tokens, amounts, amounts)
def test_the_second_half_of_an_amount_pays_no_more_than_the_first(
    pool: CpmmPool, token_in: Token, start: int, half: int
) -> None:
    assume(start + 2 * half <= MAX_U64)
    low, middle, high = (paid(pool, token_in, start + n * half) for n in range(3))

    # Rounding takes up to a base unit in, at the first price or less, and a base unit out.
    reserve_in, reserve_out = reserves_of(pool, token_in)
    rounding = 2 * (Fraction(reserve_out, reserve_in) + 1)
    assert high - middle <= middle - low + rounding


@given(pools, tokens, amounts)
def test_exact_out_finds_the_least_amount_in(
    pool: CpmmPool, token_in: Token, amount_out: int
) -> None:
    reserve_in, reserve_out = reserves_of(pool, token_in)
    assume(0 < amount_out < reserve_out)
    net_in = ceil(Fraction(reserve_in * amount_out, reserve_out - amount_out))
    if net_in > MAX_U64 * Fraction(10**6 - pool.fee_ppm, 10**6):
        with pytest.raises(Rejected) as refusal:
            pool.exact_out(token_in, amount_out)
        assert refusal.value.code == "AMOUNT_TOO_LARGE"
        return

    fill = pool.exact_out(token_in, amount_out)

    assert fill == pool.exact_in(token_in, fill.amount_in_base)
    assert fill.amount_out_base >= amount_out > paid(pool, token_in, fill.amount_in_base - 1)
    # The program's fee is what it asks for beyond the net amount: the same.
    assert fill.fee_base == fill.amount_in_base - net_in


@given(pools, tokens, amounts)
def test_exact_out_of_what_a_swap_paid_costs_no_more_than_the_swap(
    pool: CpmmPool, token_in: Token, amount_in: int
) -> None:
    amount_out = paid(pool, token_in, amount_in)
    assume(amount_out)

    assert pool.exact_out(token_in, amount_out).amount_in_base <= amount_in


@pytest.mark.parametrize(
    ("pool", "amount_in", "code"),
    [
        (pool_of(10**6, 10**6, 2_500), 0, "AMOUNT_TOO_SMALL"),
        # One base unit is all fee.
        (pool_of(10**6, 10**9, 2_500), 1, "AMOUNT_TOO_SMALL"),
        # Worth less than one base unit out.
        (pool_of(10**6, 10**6), 1, "AMOUNT_TOO_SMALL"),
        # The last unit is never paid out.
        (pool_of(1, 1), MAX_U64, "AMOUNT_TOO_SMALL"),
        (pool_of(10**6, 10**6), MAX_U64 + 1, "AMOUNT_TOO_LARGE"),
    ],
)
def test_an_amount_in_that_cannot_be_paid_for_is_refused(
    pool: CpmmPool, amount_in: int, code: str
) -> None:
    with pytest.raises(Rejected) as refusal:
        pool.exact_in(SOL, amount_in)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("pool", "amount_out", "code"),
    [
        (pool_of(10**6, 10**6), 0, "AMOUNT_TOO_SMALL"),
        (pool_of(10**6, 10**6), 10**6, "INSUFFICIENT_LIQUIDITY"),
        (pool_of(10**6, 10**6), MAX_U64, "INSUFFICIENT_LIQUIDITY"),
        (pool_of(10**6, 10**6), MAX_U64 + 1, "AMOUNT_TOO_LARGE"),
        # All but the last unit of a full reserve would take u64 times as much as the other holds.
        (pool_of(2, MAX_U64), MAX_U64 - 1, "AMOUNT_TOO_LARGE"),
    ],
)
def test_an_amount_out_that_the_pool_cannot_pay_is_refused(
    pool: CpmmPool, amount_out: int, code: str
) -> None:
    with pytest.raises(Rejected) as refusal:
        pool.exact_out(SOL, amount_out)

    assert refusal.value.code == code


def test_all_but_one_base_unit_of_a_reserve_can_be_bought() -> None:
    # 10**6 * 999_999 / 1 net.
    assert pool_of(10**6, 10**6).exact_out(SOL, 10**6 - 1) == Fill(999_999_000_000, 10**6 - 1, 0)


@given(pools, tokens, amounts)
def test_the_mid_price_is_the_ratio_of_the_reserves(
    pool: CpmmPool, token_in: Token, amount: int
) -> None:
    reserve_in, reserve_out = reserves_of(pool, token_in)

    assert pool.at_mid(token_in, amount) == floor(Fraction(amount * reserve_out, reserve_in))
    assert paid(pool, token_in, amount) <= pool.at_mid(token_in, amount)


@given(pools, tokens, st.integers(1, 2**80))
def test_a_pool_takes_until_one_more_unit_earns_less_than_the_price(
    pool: CpmmPool, token_in: Token, price: int
) -> None:
    takes = pool.takes_above(token_in, price)

    def marginal_price(amount_in: int) -> Fraction:
        """The slope of reserve_out * net / (reserve_in + net), in the protocol's unit."""
        reserve_in, reserve_out = reserves_of(pool, token_in)
        kept = Fraction(10**6 - pool.fee_ppm, 10**6)
        net = amount_in * kept
        return kept * reserve_in * reserve_out * PRICE_ONE / (reserve_in + net) ** 2

    if takes:
        assert marginal_price(takes) >= price
    # One net unit more, rounded up twice.
    one_more = 2 + ceil(Fraction(10**6, 10**6 - pool.fee_ppm))
    assert takes == MAX_U64 or marginal_price(takes + one_more) < price


def test_a_pool_takes_nothing_above_its_price_after_the_fee() -> None:
    pool = pool_of(10**12, 10**12, 2_500)

    # 0.9975 is what the first unit earns; a tenth of a basis point less is worth a little.
    assert pool.takes_above(SOL, PRICE_ONE * 9_975 // 10_000) == 0
    assert pool.takes_above(SOL, PRICE_ONE * 99_749 // 100_000) == pytest.approx(5.03e6, rel=0.01)


@given(pools, tokens, st.integers(1, 2**80), st.integers(1, 2**80))
def test_a_pool_never_takes_more_at_a_higher_price(
    pool: CpmmPool, token_in: Token, one: int, another: int
) -> None:
    low, high = sorted((one, another))

    assert pool.takes_above(token_in, low) >= pool.takes_above(token_in, high)


@pytest.mark.parametrize(
    ("before", "x_base", "expected"),
    [
        ((1_000, 1_000), 1_000, (2_000, 500)),
        ((1_000, 1_000), -500, (500, 2_000)),
        ((1_000, 1_000), 0, (1_000, 1_000)),
        # 9 / 4, rounded up.
        ((3, 3), 1, (4, 3)),
        # A quarter and four times are as far as one push goes.
        ((1_000, 1_000), 10**9, (4_000, 250)),
        ((1_000, 1_000), -(10**9), (250, 4_000)),
        ((1, 1), -1, (1, 1)),
    ],
)
def test_a_push_moves_both_reserves_along_the_curve(
    before: tuple[int, int], x_base: int, expected: tuple[int, int]
) -> None:
    assert pool_of(*before, 2_500).pushed(x_base) == pool_of(*expected, 2_500)


@given(pools, st.integers(-(2**66), 2**66))
def test_a_push_never_takes_value_from_the_pool(pool: CpmmPool, x_base: int) -> None:
    pushed = pool.pushed(x_base)

    k = pool.reserve_x_base * pool.reserve_y_base
    assert pushed.reserve_x_base * (pushed.reserve_y_base - 1) < k
    assert pushed.reserve_x_base * pushed.reserve_y_base >= k
    assert Fraction(1, 4) <= Fraction(pushed.reserve_x_base, pool.reserve_x_base) <= 4


@given(pools)
def test_a_state_survives_json(pool: CpmmPool) -> None:
    pool = replace(pool, token_y=BONK)
    text = json.dumps(pool.as_json())

    assert CpmmPool.from_json(json.loads(text)) == pool


def test_json_has_no_integer_that_a_double_would_round() -> None:
    state = pool_of(MAX_U64, MAX_U64, 2_500).as_json()

    assert all(value < 2**53 for value in state.values() if isinstance(value, int))
