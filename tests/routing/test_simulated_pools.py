import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from routing import meteora, raydium
from routing.cpmm import CpmmPool
from routing.errors import Rejected
from routing.market import depth_base
from routing.simulated_cpmm import CpmmListing
from routing.tokens import SOL, TOKENS, USDC, Token
from tests.routing.simulated import LISTINGS, MARKET, PAIRS, VENUES, price_of, random_slots

JUP, WIF = TOKENS["JUP"], TOKENS["WIF"]


@pytest.mark.parametrize("venue", VENUES)
def test_sol_and_usdc_trade_against_every_token_in_a_pool_for_each_listing(venue: str) -> None:
    pools = VENUES[venue]

    listed = [pool for pair in PAIRS for pool in pools.for_pair(*pair)]

    assert len(PAIRS) == 17
    for pair in PAIRS:
        assert tuple(pool.listing for pool in pools.for_pair(*pair)) == LISTINGS[venue]
        assert pools.for_pair(*pair) == pools.for_pair(*reversed(pair))
        assert {pool.token_x for pool in pools.for_pair(*pair)} < set(pair)
    assert len({pool.address for pool in listed}) == len(listed) == 34
    assert all(pools.at(pool.address) == pool for pool in listed)
    assert pools.for_pair(JUP, WIF) == pools.for_pair(SOL, SOL) == ()


@pytest.mark.parametrize("venue", VENUES)
def test_token_x_has_the_lower_mint_in_bytes(venue: str) -> None:
    for pair in PAIRS:
        for pool in VENUES[venue].for_pair(*pair):
            x, y = (Pubkey.from_string(t.mint) for t in (pool.token_x, pool.token_y))
            assert bytes(x) < bytes(y)


def test_a_constant_product_pool_lives_where_raydiums_program_puts_it() -> None:
    mints = [bytes(Pubkey.from_string(token.mint)) for token in (SOL, USDC)]
    configs = [
        Pubkey.find_program_address([b"amm_config", bytes([0, index])], raydium.PROGRAM_ID)[0]
        for index in (0, 1)
    ]

    # The config of the lowest fee is this account on the main network.
    assert str(configs[0]) == "D4FPEruKEHrG5TenZ2mpDGEfu1iUvTiqBxvpU8HLBvC2"
    for config, pool in zip(configs, VENUES["product"].for_pair(USDC, SOL), strict=True):
        address, _ = Pubkey.find_program_address(
            [b"pool", bytes(config), *mints], raydium.PROGRAM_ID
        )
        assert pool.address == str(address)


def test_a_pool_with_bins_lives_where_meteoras_program_puts_it() -> None:
    mints = [bytes(Pubkey.from_string(token.mint)) for token in (SOL, USDC)]
    # Steps 20 and 100 with their factors 10,000 and 8,000, little-endian.
    ends = (b"\x14\x00", b"\x10\x27"), (b"\x64\x00", b"\x40\x1f")

    for pool, end in zip(VENUES["binned"].for_pair(USDC, SOL), ends, strict=True):
        address, _ = Pubkey.find_program_address([*mints, *end], meteora.PROGRAM_ID)
        assert pool.address == str(address)


@pytest.mark.parametrize("venue", VENUES)
def test_an_unknown_address_has_neither_pool_nor_state(venue: str) -> None:
    for asked in (VENUES[venue].at, lambda address: VENUES[venue].state(address, slot=1)):
        with pytest.raises(Rejected, match=f"{venue} has no pool at nowhere") as refused:
            asked("nowhere")
        assert refused.value.code == "NO_POOL"


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "/".join(t.symbol for t in pair))
def test_every_pool_pays_about_what_the_market_does_in_both_directions(
    venue: str, pair: tuple[Token, Token]
) -> None:
    pools = VENUES[venue]

    for slot in random_slots(seed=2):
        for pool in pools.for_pair(*pair):
            state = pools.state(pool.address, slot=slot)
            assert (state.venue, state.address, state.slot) == (venue, pool.address, slot)
            assert (state.token_x, state.token_y) == (pool.token_x, pool.token_y)
            for token_in, token_out in (pair, reversed(pair)):
                ten_dollars_base = (
                    10 * 10**12 * 10**token_in.decimals // MARKET.price_pico_usd(token_in, slot)
                )
                paid = state.exact_in(token_in, ten_dollars_base).amount_out_base
                paid_dollars = Fraction(
                    paid * MARKET.price_pico_usd(token_out, slot), 10**12 * 10**token_out.decimals
                )
                # At most 2.8 % of straying and as much of wavering, 1 % of fees and half a step of bins.
                assert abs(paid_dollars - 10) < Fraction(1, 2)


@pytest.mark.parametrize("pair", PAIRS[::4])
def test_reserves_have_the_declared_depth_at_the_pools_price(pair: tuple[Token, Token]) -> None:
    for pool in VENUES["product"].for_pair(*pair):
        assert isinstance(pool.listing, CpmmListing)
        depth_x, depth_y = depth_base(pool.token_x, pool.token_y, share_pct=pool.listing.share_pct)
        for slot in random_slots(seed=3, count=10):
            state = VENUES["product"].state(pool.address, slot=slot)
            assert isinstance(state, CpmmPool)
            assert state.fee_ppm == pool.listing.fee_ppm
            product = Fraction(state.reserve_x_base * state.reserve_y_base, depth_x * depth_y)
            price = Fraction(state.reserve_y_base * 2**64, state.reserve_x_base)
            assert abs(product - 1) < Fraction(1, 10**9)
            assert abs(price / price_of(pool, slot) - 1) < Fraction(1, 10**9)


def test_one_and_a_half_sol_moves_no_deep_pool_by_a_basis_point() -> None:
    for venue in VENUES.values():
        deep, _shallow = venue.for_pair(SOL, USDC)
        state = venue.state(deep.address, slot=5_000)
        small, order = (state.exact_in(SOL, lamports) for lamports in (15 * 10**6, 15 * 10**8))

        assert Fraction(100 * small.amount_out_base, order.amount_out_base) - 1 < Fraction(3, 10**5)


@pytest.mark.parametrize("venue", VENUES)
@given(
    pair=st.sampled_from(PAIRS),
    slot=st.integers(1_000, 10**6),
    parts=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
)
def test_swaps_that_left_more_of_x_behind_made_it_cheaper(
    venue: str, pair: tuple[Token, Token], slot: int, parts: tuple[int, int]
) -> None:
    for pool in VENUES[venue].for_pair(*pair):
        depth_x, _ = depth_base(pool.token_x, pool.token_y, share_pct=pool.listing.share_pct)
        less, more = (
            VENUES[venue].state(pool.address, slot=slot, moved_x_base=depth_x * percent // 100)
            for percent in sorted(parts)
        )
        holds_less, holds_more = (state.reserve_base(pool.token_x) for state in (less, more))
        prices = [state.at_mid(pool.token_x, 10**18) for state in (less, more)]

        assert holds_less <= holds_more
        assert prices[0] >= prices[1]
        # A tenth of the depth is more than any bin near the price holds.
        if max(parts) - min(parts) >= 10:
            assert holds_less < holds_more
            assert prices[0] > prices[1]


def test_a_state_that_nobody_moved_is_the_anchor() -> None:
    for venue in VENUES.values():
        pool, _ = venue.for_pair(SOL, USDC)
        anchor = venue.state(pool.address, slot=9_000)

        assert venue.state(pool.address, slot=9_000, moved_x_base=0) == anchor
        assert venue.state(pool.address, slot=9_000, moved_x_base=10**9) == anchor.pushed(10**9)


def test_another_process_sees_the_same_states() -> None:
    script = (
        "from tests.routing.test_simulated_pools import VENUES, every_state;print(every_state())"
    )

    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert printed.strip() == str(every_state())


def every_state() -> list[object]:
    return [
        venue.state(pool.address, slot=slot, moved_x_base=moved_x_base).as_json()
        for venue in VENUES.values()
        for pair in PAIRS[:5]
        for pool in venue.for_pair(*pair)
        for slot, moved_x_base in ((0, 0), (123_456, 10**9))
    ]
