from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import pytest

from routing.dlmm import DlmmPool, price_q64
from routing.errors import Rejected
from routing.pool import MAX_U64, Fill
from routing.tokens import SOL, USDC, Token
from tests.routing.dlmm_lab import NOW_S, dlmm_pool

# Step 10 and preset 10: a base fee of 0.1 %, and 4 * 10**-6 * k**2 more in the k-th bin from the reference.
BASE_FEE = Fraction(1, 1_000)


def flat(pool: DlmmPool) -> DlmmPool:
    """The same pool with its base fee only."""
    return replace(pool, variable_fee_control=0)


@pytest.mark.parametrize(
    ("amount_in", "expected"),
    [
        # In bin 0 the price is 1. By hand: 1_000_000 * 0.1 % is the fee; what is left comes out.
        (1_000_000, Fill(1_000_000, 999_000, 1_000)),
        # A fee rounds up to at least one base unit: of two, one comes out.
        (2, Fill(2, 1, 1)),
        # The whole bin costs ceil(2_000_000 / 0.999).
        (2_002_003, Fill(2_002_003, 2_000_000, 2_003)),
        # floor(2_002_002 * 0.999) is 1_999_999.
        (2_002_002, Fill(2_002_002, 1_999_999, 2_003)),
    ],
)
@pytest.mark.parametrize("token_in", [SOL, USDC])
def test_a_swap_within_a_bin_pays_its_price_less_the_base_fee(
    token_in: Token, amount_in: int, expected: Fill
) -> None:
    pool = dlmm_pool({0: (2_000_000, 2_000_000)})

    assert pool.exact_in(token_in, amount_in) == expected


def test_a_bin_off_the_middle_has_its_own_price() -> None:
    pool = dlmm_pool({5: (10**9, 10**9)}, active_id=5, bin_step=100)
    price = Fraction(price_q64(100, 5), 2**64)
    # 8000 * 100 * 10 of 10**9 are 0.8 %.
    net = 1_000_000 - 8_000

    assert price == pytest.approx(1.01**5)
    assert pool.exact_in(SOL, 1_000_000) == Fill(1_000_000, floor(net * price), 8_000)
    assert pool.exact_in(USDC, 1_000_000) == Fill(1_000_000, floor(net / price), 8_000)


def test_a_bin_never_pays_more_than_it_holds() -> None:
    pool = dlmm_pool({1_000: (0, 3)}, active_id=1_000)

    # Two units, after a fee of one, are worth 5.43.
    assert pool.exact_in(SOL, 3) == Fill(3, 3, 1)


def test_a_swap_takes_one_bin_after_another_each_at_its_price_and_fee() -> None:
    held = 10**12
    pool = dlmm_pool({-k: (0, held) for k in range(8)})
    # Bins 0 to 6 empty, and 10**9 of net beyond them.
    spent = out = fee = 0
    for k in range(7):
        net = ceil(held / Fraction(price_q64(10, -k), 2**64))
        gross = ceil(net / (1 - BASE_FEE - Fraction(4 * k**2, 10**6)))
        spent, out, fee = spent + gross, out + held, fee + gross - net
    rate = BASE_FEE + Fraction(4 * 7**2, 10**6)
    last = ceil(10**9 / (1 - rate))
    out += floor(floor(last * (1 - rate)) * Fraction(price_q64(10, -7), 2**64))

    fill = pool.exact_in(SOL, spent + last)

    assert fill == Fill(spent + last, out, fee + ceil(last * rate))


@pytest.mark.parametrize(
    ("token_in", "bins"), [(SOL, {0: (0, 5), -9: (0, 10**9)}), (USDC, {0: (5, 0), 9: (10**9, 0)})]
)
def test_empty_bins_are_passed_and_count_for_the_fee(
    token_in: Token, bins: dict[int, tuple[int, int]]
) -> None:
    pool = dlmm_pool(bins)
    # Five units cost ceil(5 / 0.999) in bin 0; nine bins on the rate is 0.1 % + 4 * 81 * 10**-6.
    left = 1_000_000 - 6
    fee = ceil(left * Fraction(1_324, 10**6))
    price = Fraction(price_q64(10, -9) if token_in == SOL else price_q64(10, 9), 2**64)
    out = floor((left - fee) * (price if token_in == SOL else 1 / price))

    assert pool.exact_in(token_in, 1_000_000) == Fill(1_000_000, 5 + out, 1 + fee)


def test_a_hundred_bins_cost_what_they_cost_one_by_one() -> None:
    pool = flat(dlmm_pool({-k: (0, 10**9 + k) for k in range(100)}))
    nets = [ceil((10**9 + k) / Fraction(price_q64(10, -k), 2**64)) for k in range(100)]
    amount_in = sum(ceil(net / (1 - BASE_FEE)) for net in nets)

    fill = pool.exact_in(SOL, amount_in)

    assert fill == Fill(amount_in, pool.reserve_base(USDC), amount_in - sum(nets))
    assert fill == pool.exact_out(SOL, pool.reserve_base(USDC))


def test_amounts_near_the_end_of_u64_are_exact() -> None:
    pool = flat(dlmm_pool({0: (2**63, 2**63), 1: (2**62, 0), 2: (2**61, 0)}))
    gross_0 = ceil(2**63 / (1 - BASE_FEE))
    net_1 = ceil(2**62 * Fraction(price_q64(10, 1), 2**64))
    gross_1 = ceil(net_1 / (1 - BASE_FEE))
    left = MAX_U64 - gross_0 - gross_1
    net_2 = floor(left * (1 - BASE_FEE))
    net_of_all_2 = ceil(2**61 * Fraction(price_q64(10, 2), 2**64))
    assert net_2 > net_of_all_2

    emptying = gross_0 + gross_1 + ceil(net_of_all_2 / (1 - BASE_FEE))

    fee = emptying - 2**63 - net_1 - net_of_all_2
    assert pool.exact_in(USDC, emptying) == Fill(emptying, 2**63 + 2**62 + 2**61, fee)


@pytest.mark.parametrize(
    ("idle_s", "volatility"),
    [
        # Within the filter period a swap goes on from the reference: 7_000, and 10_000 for each of 5 bins.
        (0, 57_000),
        (29, 57_000),
        # Then from the active bin, with half of the volatility that the last swap left.
        (30, 45_000),
        (599, 45_000),
        # And after the decay period from nothing.
        (600, 0),
    ],
)
def test_volatility_is_remembered_for_the_filter_and_decay_periods(
    idle_s: int, volatility: int
) -> None:
    pool = replace(
        dlmm_pool({0: (0, 10**15)}),
        index_reference=5,
        volatility_reference=7_000,
        volatility_accumulator=90_000,
        last_update_s=NOW_S - idle_s,
    )
    # 0.1 %, and 40_000 * (volatility * 10)**2 / 10**11 of 10**9.
    rate = BASE_FEE + Fraction(40_000 * (volatility * 10) ** 2, 10**20)

    assert pool.exact_in(SOL, 10**12).fee_base == ceil(10**12 * rate)


def test_a_variable_fee_rounds_up_to_a_billionth() -> None:
    pool = replace(dlmm_pool({0: (0, 10**15)}), volatility_reference=1, last_update_s=NOW_S)

    # 40_000 * (1 * 10)**2 / 10**11 is 4 * 10**-5 of a billionth.
    assert pool.exact_in(SOL, 10**12).fee_base == 10**9 + 1_000


def test_volatility_is_capped() -> None:
    capped, one_less = (
        replace(
            dlmm_pool({0: (0, 10**15)}),
            max_volatility_accumulator=80_000,
            index_reference=index_reference,
            last_update_s=NOW_S,
        )
        for index_reference in (30, 7)
    )

    assert capped.exact_in(SOL, 10**9).fee_base == 10**6 + 4_000 * 8**2
    assert one_less.exact_in(SOL, 10**9).fee_base == 10**6 + 4_000 * 7**2


def test_no_fee_is_above_a_tenth() -> None:
    pool = replace(dlmm_pool({0: (0, 10**15)}), base_factor=65_535, bin_step=200)

    assert pool.exact_in(SOL, 10**9) == Fill(10**9, 9 * 10**8, 10**8)


@pytest.mark.parametrize(
    ("token_in", "amount_in", "code"),
    [
        (SOL, 0, "AMOUNT_TOO_SMALL"),
        (SOL, 1, "AMOUNT_TOO_SMALL"),
        (SOL, 1_000, "INSUFFICIENT_LIQUIDITY"),
        (SOL, MAX_U64, "INSUFFICIENT_LIQUIDITY"),
        (SOL, MAX_U64 + 1, "AMOUNT_TOO_LARGE"),
        # All X is gone.
        (USDC, 100, "INSUFFICIENT_LIQUIDITY"),
    ],
)
def test_an_amount_that_the_bins_cannot_answer_is_refused(
    token_in: Token, amount_in: int, code: str
) -> None:
    pool = dlmm_pool({0: (0, 500), -3: (0, 100), 3: (0, 0)})

    with pytest.raises(Rejected) as refusal:
        pool.exact_in(token_in, amount_in)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("amount_out", "code"),
    [
        (0, "AMOUNT_TOO_SMALL"),
        (601, "INSUFFICIENT_LIQUIDITY"),
        (MAX_U64, "INSUFFICIENT_LIQUIDITY"),
        (MAX_U64 + 1, "AMOUNT_TOO_LARGE"),
    ],
)
def test_an_amount_out_that_the_bins_do_not_hold_is_refused(amount_out: int, code: str) -> None:
    pool = dlmm_pool({0: (0, 500), -3: (0, 100)})

    with pytest.raises(Rejected) as refusal:
        pool.exact_out(SOL, amount_out)

    assert refusal.value.code == code


def test_an_amount_out_that_costs_more_than_u64_is_refused() -> None:
    pool = dlmm_pool({-10_000: (0, 2**60)}, active_id=-10_000)

    with pytest.raises(Rejected) as refusal:
        pool.exact_out(SOL, 2**60)

    assert refusal.value.code == "AMOUNT_TOO_LARGE"


def test_the_mid_price_is_the_active_bins_without_fee() -> None:
    pool = dlmm_pool({-3: (0, 10), 7: (20, 30)}, active_id=7)
    price = Fraction(price_q64(10, 7), 2**64)

    assert pool.at_mid(SOL, 10**12 + 1) == floor((10**12 + 1) * price)
    assert pool.at_mid(USDC, 10**12 + 1) == floor((10**12 + 1) / price)


def test_a_pool_takes_whole_bins_down_to_a_price() -> None:
    pool = flat(dlmm_pool({0: (0, 10**6), -2: (0, 10**6), -4: (0, 10**6)}))
    kept = 1 - BASE_FEE
    prices = [Fraction(price_q64(10, bin_id), 2**64) for bin_id in (0, -2, -4)]
    gross = [ceil(ceil(10**6 / price) / kept) for price in prices]

    after_fee = [floor(price * kept * 2**64) for price in prices]

    assert pool.takes_above(SOL, after_fee[0] + 1) == 0
    assert pool.takes_above(SOL, after_fee[0]) == gross[0]
    assert pool.takes_above(SOL, after_fee[1]) == gross[0] + gross[1]
    assert pool.takes_above(SOL, after_fee[2] + 1) == gross[0] + gross[1]
    assert pool.takes_above(SOL, 1) == sum(gross)
    assert pool.takes_above(USDC, 1) == 0


def test_a_bin_that_earns_exactly_the_price_is_taken() -> None:
    # A fee of 1 / 256 leaves a price that is a whole number.
    pool = replace(dlmm_pool({0: (0, 255)}, bin_step=25), base_factor=15_625)

    assert pool.takes_above(SOL, 2**64 * 255 // 256) == 256
    assert pool.takes_above(SOL, 2**64 * 255 // 256 + 1) == 0


def test_no_pool_takes_more_than_an_instruction_can_say() -> None:
    pool = dlmm_pool({-10_000: (0, 2**60)}, active_id=-10_000)

    assert pool.takes_above(SOL, 1) == MAX_U64


@pytest.mark.parametrize(("bin_step", "base_fee_bps"), [(1, 2), (20, 20), (80, 80), (100, 80)])
def test_a_preset_makes_the_base_fee_that_meteora_lists(bin_step: int, base_fee_bps: int) -> None:
    pool = dlmm_pool({0: (0, 10**12)}, bin_step=bin_step)

    assert pool.exact_in(SOL, 10**9).fee_base == base_fee_bps * 10**5
