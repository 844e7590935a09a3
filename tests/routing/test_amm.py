from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.amm import Fill, ceil_div, swap_exact_in

reserves = st.integers(min_value=1, max_value=2**64)
amounts = st.integers(min_value=0, max_value=2**64)
fees_ppm = st.sampled_from([0, 100, 2_000, 2_500, 10_000, 40_000])


@pytest.mark.parametrize(
    ("reserve_in", "reserve_out", "amount_in", "fee_ppm", "expected"),
    [
        # By hand: the fee is ceil(1000 * 0.0025) = 3, the output floor(2_000_000 * 997 / 1_000_997).
        (1_000_000, 2_000_000, 1_000, 2_500, Fill(1_992, 3, 10)),
        # One base unit is all fee.
        (1_000_000, 2_000_000, 1, 2_500, Fill(0, 1, 0)),
        # Without a fee, doubling the reserve buys exactly half of the other one.
        (1_000_000, 2_000_000, 1_000_000, 0, Fill(1_000_000, 0, 5_000)),
        # A whole u64 into a pool of one unit can't take its last unit.
        (1, 1, 2**64 - 1, 0, Fill(0, 0, 10_000)),
    ],
)
def test_a_swap_pays_what_the_formula_says(
    reserve_in: int, reserve_out: int, amount_in: int, fee_ppm: int, expected: Fill
) -> None:
    fill = swap_exact_in(
        reserve_in_base=reserve_in,
        reserve_out_base=reserve_out,
        amount_in_base=amount_in,
        fee_ppm=fee_ppm,
    )

    assert fill == expected


@given(reserves, reserves, amounts, fees_ppm)
def test_a_swap_agrees_with_exact_fractions(
    reserve_in: int, reserve_out: int, amount_in: int, fee_ppm: int
) -> None:
    fill = swap_exact_in(
        reserve_in_base=reserve_in,
        reserve_out_base=reserve_out,
        amount_in_base=amount_in,
        fee_ppm=fee_ppm,
    )

    net_in = amount_in - fill.fee_base
    assert 0 <= fill.fee_base - Fraction(amount_in * fee_ppm, 10**6) < 1
    assert fill.amount_out_base == floor(
        reserve_out - Fraction(reserve_in * reserve_out, reserve_in + net_in)
    )
    assert abs(fill.price_impact_bps - Fraction(net_in * 10**4, reserve_in + net_in)) <= Fraction(
        1, 2
    )


@given(reserves, reserves, amounts, fees_ppm)
def test_no_swap_creates_value(
    reserve_in: int, reserve_out: int, amount_in: int, fee_ppm: int
) -> None:
    fill = swap_exact_in(
        reserve_in_base=reserve_in,
        reserve_out_base=reserve_out,
        amount_in_base=amount_in,
        fee_ppm=fee_ppm,
    )

    # Even without the fee, which Raydium keeps apart from the reserves that price the next swap.
    k_after = (reserve_in + amount_in - fill.fee_base) * (reserve_out - fill.amount_out_base)
    assert k_after >= reserve_in * reserve_out
    assert fill.amount_out_base < reserve_out


@given(reserves, reserves, amounts, fees_ppm)
def test_swapping_there_and_back_never_profits(
    reserve_in: int, reserve_out: int, amount_in: int, fee_ppm: int
) -> None:
    there = swap_exact_in(
        reserve_in_base=reserve_in,
        reserve_out_base=reserve_out,
        amount_in_base=amount_in,
        fee_ppm=fee_ppm,
    )
    back = swap_exact_in(
        reserve_in_base=reserve_out - there.amount_out_base,
        reserve_out_base=reserve_in + amount_in - there.fee_base,
        amount_in_base=there.amount_out_base,
        fee_ppm=fee_ppm,
    )

    assert back.amount_out_base <= amount_in


@given(reserves, reserves, amounts, amounts, fees_ppm)
def test_more_in_never_pays_less_out(
    reserve_in: int, reserve_out: int, amount_1: int, amount_2: int, fee_ppm: int
) -> None:
    less, more = (
        swap_exact_in(
            reserve_in_base=reserve_in,
            reserve_out_base=reserve_out,
            amount_in_base=amount,
            fee_ppm=fee_ppm,
        )
        for amount in sorted((amount_1, amount_2))
    )

    assert less.amount_out_base <= more.amount_out_base


@pytest.mark.parametrize(
    ("reserve_in", "reserve_out", "amount_in"), [(0, 1, 1), (1, 0, 1), (1, 1, -1)]
)
def test_an_empty_pool_and_a_negative_amount_are_refused(
    reserve_in: int, reserve_out: int, amount_in: int
) -> None:
    with pytest.raises(ValueError, match="two reserves"):
        swap_exact_in(
            reserve_in_base=reserve_in,
            reserve_out_base=reserve_out,
            amount_in_base=amount_in,
            fee_ppm=2_500,
        )


@given(st.integers(0, 2**128), st.integers(1, 2**64))
def test_ceil_div_is_the_least_number_that_covers(numerator: int, denominator: int) -> None:
    quotient = ceil_div(numerator, denominator)

    assert quotient * denominator >= numerator > (quotient - 1) * denominator
