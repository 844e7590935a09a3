from fractions import Fraction
from itertools import pairwise
from statistics import median

import pytest

from routing.dlmm import DlmmPool, price_q64
from routing.dlmm_presets import PRESETS
from routing.market import Market, depth_base
from routing.simulated_bins import BELL_MOVES_EVERY_SLOTS, BINS, DlmmListing
from routing.simulated_pools import Listed
from routing.tokens import SOL, TOKENS, USDC, Token
from tests.routing.simulated import PAIRS, SLOT_MS, VENUES, price_of, random_slots, venue_of

BONK = TOKENS["BONK"]


def state_of(pool: Listed, slot: int) -> DlmmPool:
    state = VENUES["binned"].state(pool.address, slot=slot)
    assert isinstance(state, DlmmPool)
    return state


def bins_of(state: DlmmPool) -> dict[int, tuple[int, int]]:
    """What each bin holds, of X and of Y, by its id."""
    return dict(
        enumerate(zip(state.bins_x_base, state.bins_y_base, strict=True), start=state.lowest_id)
    )


def worth_of(state: DlmmPool) -> dict[int, Fraction]:
    """What each bin is worth in Y, by its id."""
    return {
        bin_id: y + Fraction(x * price_q64(state.bin_step, bin_id), 2**64)
        for bin_id, (x, y) in bins_of(state).items()
    }


@pytest.mark.parametrize("pair", PAIRS[::4])
def test_bins_have_about_the_declared_depth_and_most_of_it_near_the_price(
    pair: tuple[Token, Token],
) -> None:
    for pool in VENUES["binned"].for_pair(*pair):
        _, depth_y = depth_base(pool.token_x, pool.token_y, share_pct=pool.listing.share_pct)
        parts, inner_parts = [], []
        for slot in random_slots(seed=4):
            state = state_of(pool, slot)
            worth = worth_of(state)
            inner = [
                bin_worth
                for bin_id, bin_worth in worth.items()
                if abs(bin_id - state.active_id) <= BINS // 4
            ]
            parts.append(sum(worth.values()) / (2 * depth_y))
            inner_parts.append(sum(inner) / sum(worth.values()))

        # A price that has left the bell behind finds less.
        assert Fraction(1, 8) < min(parts) and max(parts) < Fraction(5, 4)
        assert abs(median(parts) - 1) < Fraction(1, 8)
        assert median(inner_parts) > Fraction(13, 20)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "/".join(t.symbol for t in pair))
def test_bins_hold_only_y_below_the_price_only_x_above_it_and_both_where_it_is(
    pair: tuple[Token, Token],
) -> None:
    for pool in VENUES["binned"].for_pair(*pair):
        assert isinstance(pool.listing, DlmmListing)
        for slot in random_slots(seed=5, count=10):
            state = state_of(pool, slot)
            bins = bins_of(state)
            step = Fraction(pool.listing.bin_step, 10**4)

            assert len(bins) == BINS == 70
            assert state.active_id - state.lowest_id == 35
            assert all(x == 0 for bin_id, (x, _) in bins.items() if bin_id < state.active_id)
            assert all(y == 0 for bin_id, (_, y) in bins.items() if bin_id > state.active_id)
            # The price stands in the active bin: at most half a step from its own.
            price = price_of(pool, slot)
            from_price = Fraction(price, price_q64(state.bin_step, state.active_id)) - 1
            assert abs(from_price) <= step / 2
            worth = worth_of(state)[state.active_id]
            if worth:
                # All X at the lower end of the bin, all Y at the upper one.
                assert abs(
                    bins[state.active_id][1] / worth - (from_price + step / 2) / step
                ) < Fraction(1, 100)
            preset = PRESETS[pool.listing.bin_step]
            assert (state.base_factor, state.filter_period_s) == (
                preset.base_factor,
                preset.filter_period_s,
            )


def test_bins_stay_where_the_price_has_not_been() -> None:
    pool, _ = VENUES["binned"].for_pair(SOL, USDC)
    changed = []
    for before, after in pairwise(state_of(pool, slot) for slot in range(20_000, 27_000)):
        been = range(*sorted((before.active_id, after.active_id)))
        bins, later = bins_of(before), bins_of(after)
        elsewhere = (bins.keys() & later.keys()) - {*been, before.active_id, after.active_id}
        if any(bins[bin_id] != later[bin_id] for bin_id in elsewhere):
            changed.append(after.slot)

    # Only those who move the bell change them, every ten minutes if the price has moved.
    assert len(changed) > 1
    assert all((later - changed[0]) % BELL_MOVES_EVERY_SLOTS == 0 for later in changed)


def test_a_few_bins_are_empty_for_ever_and_every_pool_has_a_landscape_of_its_own() -> None:
    pools = [pool for pair in PAIRS for pool in VENUES["binned"].for_pair(*pair)]
    part_of_empty = []
    for pool in pools:
        empty: dict[int, bool] = {}
        for slot in range(50_000, 150_000, 10_000):
            for bin_id, amounts in bins_of(state_of(pool, slot)).items():
                assert empty.setdefault(bin_id, amounts == (0, 0)) == (amounts == (0, 0))
        part_of_empty.append(sum(empty.values()) / len(empty))
    assert 0.01 < sum(part_of_empty) / len(pools) < 0.04

    seen = state_of(pools[0], 1_000)
    other = venue_of("binned", Market(seed=2)).state(pools[0].address, slot=1_000)
    assert isinstance(other, DlmmPool)
    common = bins_of(seen).keys() & bins_of(other).keys() - {seen.active_id, other.active_id}
    assert sum(bins_of(seen)[bin_id] != bins_of(other)[bin_id] for bin_id in common) > 30


def test_fees_refer_to_a_bin_that_the_pool_was_in_within_a_filter_period() -> None:
    pool, _ = VENUES["binned"].for_pair(BONK, SOL)
    period = PRESETS[20].filter_period_s * 1_000 // SLOT_MS

    for slot in random_slots(seed=6):
        recent = {state_of(pool, earlier).active_id for earlier in range(slot - period, slot + 1)}
        assert state_of(pool, slot).index_reference in recent


def test_volatility_is_what_is_remembered_and_how_far_the_pool_went_since() -> None:
    accumulators, remembered = set(), set()
    for pool in VENUES["binned"].for_pair(BONK, SOL):
        for slot in random_slots(seed=7, count=100):
            state = state_of(pool, slot)
            moved = abs(state.active_id - state.index_reference) * 10**4
            most = state.max_volatility_accumulator
            assert state.volatility_accumulator == min(state.volatility_reference + moved, most)
            # Half of what it was is remembered: 5,000 of 10,000 a bin.
            assert state.volatility_reference % 5_000 == 0
            assert state.volatility_reference <= most // 2
            accumulators.add(state.volatility_accumulator)
            remembered.add(state.volatility_reference)
    assert 0 in accumulators and len(accumulators) > 3
    assert 0 in remembered and len(remembered) > 1


def test_others_swapped_some_seconds_ago_and_time_never_goes_back() -> None:
    pool, _ = VENUES["binned"].for_pair(SOL, USDC)
    states = [state_of(pool, slot) for slot in range(7_000, 7_200)]

    assert [state.now_s for state in states[:6]] == [2_800, 2_800, 2_800, 2_801, 2_801, 2_802]
    assert all(0 <= state.now_s - state.last_update_s < 10 for state in states)
    assert all(a.last_update_s <= b.last_update_s for a, b in pairwise(states))
    assert len({state.last_update_s for state in states}) > 10
