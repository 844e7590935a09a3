import json
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor

from hypothesis import assume, given
from hypothesis import strategies as st

from routing.dlmm import DlmmPool, price_q64
from routing.errors import Rejected
from routing.pool import MAX_U64
from routing.tokens import SOL, USDC, Token
from tests.routing.dlmm_lab import bins_ahead, dlmm_pools, unrounded_out, work_out

tokens = st.sampled_from([SOL, USDC])


def amounts(pool: DlmmPool, token_in: Token) -> st.SearchStrategy[int]:
    """Amounts in, up to a little more than all that the pool takes; about half of them end near the end of a bin."""
    ends, end = [1], 0
    for ahead in bins_ahead(pool, token_in):
        end += ceil(ceil(ahead.held_base / ahead.price) / (1 - ahead.fee_rate))
        ends.append(end)
    ends = [min(end, MAX_U64 - 2) for end in ends]
    near_an_end = st.builds(
        lambda end, off: max(end + off, 1), st.sampled_from(ends), st.integers(-2, 2)
    )
    return near_an_end | st.integers(1, max(ends))


def paid(pool: DlmmPool, token_in: Token, amount_in_base: int) -> int:
    """What a swap pays; 0 when that is why it is refused."""
    try:
        return pool.exact_in(token_in, amount_in_base).amount_out_base
    except Rejected as refusal:
        assert refusal.code == "AMOUNT_TOO_SMALL"
        return 0


def coarseness(pool: DlmmPool, token_in: Token) -> Fraction:
    """The most that roundings can keep from a swap: in each bin 3 base units in, and one out."""
    return sum((3 * ahead.price + 1 for ahead in bins_ahead(pool, token_in)), Fraction(0))


def changes(before: DlmmPool, after: DlmmPool) -> Iterator[tuple[int, int, int]]:
    """By bin: its id, how much X it won and how much Y."""
    before_and_after = zip(
        before.bins_x_base, after.bins_x_base, before.bins_y_base, after.bins_y_base, strict=True
    )
    for index, (x_before, x_after, y_before, y_after) in enumerate(before_and_after):
        yield before.lowest_id + index, x_after - x_before, y_after - y_before


@given(dlmm_pools(), tokens, st.data())
def test_a_swap_agrees_with_exact_fractions(
    pool: DlmmPool, token_in: Token, data: st.DataObject
) -> None:
    amount_in = data.draw(amounts(pool, token_in))
    worked = work_out(pool, token_in, amount_in)
    try:
        fill = pool.exact_in(token_in, amount_in)
    except Rejected as refusal:
        too_small = worked.left_base == 0 and worked.amount_out_base == 0
        assert refusal.code == ("AMOUNT_TOO_SMALL" if too_small else "INSUFFICIENT_LIQUIDITY")
        assert too_small or worked.left_base > 0
        return

    assert worked.left_base == 0
    assert (fill.amount_in_base, fill.amount_out_base, fill.fee_base) == (
        amount_in,
        worked.amount_out_base,
        worked.fee_base,
    )


@given(dlmm_pools(), tokens, st.data())
def test_a_swap_pays_what_undivided_units_allow_but_never_more(
    pool: DlmmPool, token_in: Token, data: st.DataObject
) -> None:
    amount_in = data.draw(amounts(pool, token_in))
    assume(work_out(pool, token_in, amount_in).left_base == 0)

    unrounded = unrounded_out(pool, token_in, amount_in)

    assert unrounded - coarseness(pool, token_in) <= paid(pool, token_in, amount_in) <= unrounded


@given(dlmm_pools(), tokens, st.data())
def test_swapping_there_and_back_never_profits(
    pool: DlmmPool, token_in: Token, data: st.DataObject
) -> None:
    amount_in = data.draw(amounts(pool, token_in))
    there = work_out(pool, token_in, amount_in)
    assume(there.left_base == 0 and there.amount_out_base > 0)

    token_back = USDC if token_in == SOL else SOL
    assert paid(there.after, token_back, there.amount_out_base) <= amount_in


@given(dlmm_pools(), st.data())
def test_a_swap_leaves_the_bins_as_a_push_of_its_net_amount(
    pool: DlmmPool, data: st.DataObject
) -> None:
    amount_in = data.draw(amounts(pool, SOL))
    worked = work_out(pool, SOL, amount_in)
    # A push would leave the last unit.
    assume(worked.amount_out_base > 0 and worked.after.reserve_base(USDC) > 1)

    pushed = pool.pushed(amount_in - worked.fee_base)

    assert pushed.bins_x_base == worked.after.bins_x_base
    assert pushed.bins_y_base == worked.after.bins_y_base


@given(dlmm_pools(), tokens, st.data())
def test_more_in_never_pays_less_out(pool: DlmmPool, token_in: Token, data: st.DataObject) -> None:
    less, more = sorted(data.draw(st.tuples(*[amounts(pool, token_in)] * 2)))
    assume(work_out(pool, token_in, more).left_base == 0)

    assert paid(pool, token_in, less) <= paid(pool, token_in, more)


@given(dlmm_pools(at_rest=True), tokens, st.data())
def test_every_further_unit_pays_less_in_a_pool_at_rest(
    pool: DlmmPool, token_in: Token, data: st.DataObject
) -> None:
    less, more = sorted(data.draw(st.tuples(*[amounts(pool, token_in)] * 2)))
    more -= (more - less) % 2
    assume(work_out(pool, token_in, more).left_base == 0)
    amount_ins = less, (less + more) // 2, more

    first, half, second = (paid(pool, token_in, amount_in) for amount_in in amount_ins)

    assert 2 * half + 2 * coarseness(pool, token_in) >= first + second


@given(dlmm_pools(), tokens, st.data())
def test_an_exact_amount_out_costs_the_least_that_pays_it(
    pool: DlmmPool, token_in: Token, data: st.DataObject
) -> None:
    held = sum(ahead.held_base for ahead in bins_ahead(pool, token_in))
    assume(held)
    amount_out = data.draw(st.integers(1, held))

    fill = pool.exact_out(token_in, amount_out)

    assert fill == pool.exact_in(token_in, fill.amount_in_base)
    assert paid(pool, token_in, fill.amount_in_base - 1) < amount_out <= fill.amount_out_base


@given(dlmm_pools(), tokens, st.data())
def test_what_a_swap_pays_never_costs_more_than_it_did(
    pool: DlmmPool, token_in: Token, data: st.DataObject
) -> None:
    amount_in = data.draw(amounts(pool, token_in))
    assume(work_out(pool, token_in, amount_in).left_base == 0)
    amount_out = paid(pool, token_in, amount_in)
    assume(amount_out)

    fill = pool.exact_out(token_in, amount_out)

    assert fill.amount_in_base <= amount_in
    assert fill.amount_out_base == amount_out


@given(dlmm_pools(deep=True), tokens, st.data())
def test_a_pool_takes_all_that_still_earns_a_price_and_no_more(
    pool: DlmmPool, token_in: Token, data: st.DataObject
) -> None:
    earned = [ahead.price * (1 - ahead.fee_rate) for ahead in bins_ahead(pool, token_in)]
    assume(earned)
    hair = Fraction(data.draw(st.integers(-(10**6), 10**6)), 10**10)
    price = data.draw(st.sampled_from(earned)) * (1 + hair)
    # Enough for a basis point to be more than all roundings.
    step = 10**9

    takes = pool.takes_above(token_in, floor(price * 2**64))

    everything = pool.takes_above(token_in, 1)
    slack = 2 * coarseness(pool, token_in)
    if takes:
        last = paid(pool, token_in, takes) - paid(pool, token_in, takes - step)
        assert last >= step * price - slack
    if takes < everything:
        so_far = paid(pool, token_in, takes) if takes else 0
        assert paid(pool, token_in, takes + step) - so_far <= step * price + slack


@given(dlmm_pools(), tokens, st.integers(0, 2**70), st.integers(0, 2**70))
def test_a_higher_price_never_takes_more(
    pool: DlmmPool, token_in: Token, price_1: int, price_2: int
) -> None:
    low, high = sorted((price_1, price_2))

    assert pool.takes_above(token_in, low) >= pool.takes_above(token_in, high)


@given(dlmm_pools(), st.integers(-(10**16), 10**16))
def test_a_push_moves_its_amount_and_conserves_value(pool: DlmmPool, x_base: int) -> None:
    pushed = pool.pushed(x_base)

    for bin_id, x, y in changes(pool, pushed):
        price = price_q64(pool.bin_step, bin_id)
        # Rounding leaves the pool less than one base unit of either token richer, and never poorer.
        assert 0 <= x * price + y * 2**64 < max(price, 2**64)
    moved = pushed.reserve_base(SOL) - pool.reserve_base(SOL)
    if moved != x_base:
        left = bins_ahead(pushed, SOL if x_base > 0 else USDC)
        assert sum(ahead.held_base for ahead in left) <= 1
        assert 0 <= Fraction(moved, x_base) < 1


@given(dlmm_pools(), st.integers(-(10**16), 10**16))
def test_a_push_back_undoes_a_push(pool: DlmmPool, x_base: int) -> None:
    pushed = pool.pushed(x_base)
    moved = pushed.reserve_base(SOL) - pool.reserve_base(SOL)

    back = pushed.pushed(-moved)

    # Each bin on the way may keep a base unit, which then moves the others by as much.
    for bin_id, x, y in changes(pool, back):
        price = price_q64(pool.bin_step, bin_id)
        worth = abs(x) * price + abs(y) * 2**64
        assert worth <= 2 * len(pool.bins_x_base) * max(price, 2**64)


@given(dlmm_pools())
def test_a_state_survives_json(pool: DlmmPool) -> None:
    assert DlmmPool.from_json(json.loads(json.dumps(pool.as_json()))) == pool
