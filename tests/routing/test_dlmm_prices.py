from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.dlmm import bin_of_price, price_q64
from routing.dlmm_presets import PRESETS

bin_steps = st.sampled_from(sorted(PRESETS))


@pytest.mark.parametrize(
    ("bin_step", "bin_id", "expected"),
    [
        # As bin arrays on chain store them (MeteoraAg/dlmm-sdk, `commons/tests/fixtures` and `artifacts`).
        (250, 69, 101359960942596611675),
        (250, 0, 18446744073709551616),
        (250, -1, 17996823486545904015),
        (250, -69, 3357167502399209223),
        (10, 209, 22732223413995834382),
        (10, -141, 16021928817391805083),
    ],
)
def test_a_price_is_the_one_that_the_chain_stores(
    bin_step: int, bin_id: int, expected: int
) -> None:
    assert price_q64(bin_step, bin_id) == expected


@pytest.mark.parametrize("bin_step", [1, 20, 100])
def test_a_price_is_the_exact_power_but_for_the_cuts_to_64_bits(bin_step: int) -> None:
    base = Fraction(10**4 + bin_step, 10**4)
    cut_base = Fraction(2**64 + 2**64 * bin_step // 10**4, 2**64)
    for bin_id in range(-1_000, 1_001):
        price = Fraction(price_q64(bin_step, bin_id), 2**64)

        # Every cut is below 2**-64, and counts for more when the price, or its inverse, is small.
        exact = base**bin_id
        bound = 2 * (abs(bin_id) + 1) * max(exact, 1 / exact) / 2**64
        assert abs(price / exact - 1) < bound
        # Cuts draw prices below 1 down and, by the inversion, those above 1 up; at the end one unit is cut.
        if bin_id <= 0:
            assert price <= cut_base**bin_id
        else:
            assert price > cut_base**bin_id - Fraction(1, 2**64)


@pytest.mark.parametrize(("bin_step", "bin_id"), [(100, -4_500), (100, 4_500), (1, -(2**20))])
def test_a_bin_too_far_out_has_no_price(bin_step: int, bin_id: int) -> None:
    with pytest.raises(ValueError, match="no price"):
        price_q64(bin_step, bin_id)


@given(bin_steps, st.floats(-31, 31))
def test_the_bin_of_a_price_is_the_highest_that_is_not_above_it(
    bin_step: int, exponent: float
) -> None:
    price = int(2 ** (64 + exponent))

    bin_id = bin_of_price(bin_step, price)

    assert price_q64(bin_step, bin_id) <= price < price_q64(bin_step, bin_id + 1)


@given(bin_steps, st.data())
def test_a_bins_own_price_finds_it_and_a_hair_less_the_one_below(
    bin_step: int, data: st.DataObject
) -> None:
    bin_id = data.draw(st.integers(-200_000 // bin_step, 200_000 // bin_step))
    price = price_q64(bin_step, bin_id)

    assert bin_of_price(bin_step, price) == bin_id
    assert bin_of_price(bin_step, price - 1) == bin_id - 1


@pytest.mark.parametrize("price", [0, 2**30, 2**100])
def test_a_price_that_no_precise_bin_has_is_refused(price: int) -> None:
    with pytest.raises(ValueError, match="precise enough"):
        bin_of_price(10, price)
