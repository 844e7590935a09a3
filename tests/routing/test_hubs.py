"""Over a hub: two hops, either of which may be divided, in one transaction."""

import random
from collections.abc import Iterable

from routing.cpmm import CpmmPool
from routing.errors import Rejected
from routing.market import Market
from routing.pool import Pool
from routing.prudence import PrudentPool
from routing.router import Terms, Undecided, decide, has_way
from routing.split import best_split
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import Swap
from tests.routing.decisions import (
    BONK,
    JUP,
    TERMS,
    answers,
    market_terms,
    pools_for,
)
from tests.routing.lab import PROMPT_VENUES, pools_of


def test_tokens_without_a_pool_of_their_own_go_over_a_hub() -> None:
    swap = Swap(JUP, BONK, 500 * 10**6)

    decision = decide(swap, pools_for(swap), market_terms(swap))

    legs = decision.route.legs
    assert [leg.hop for leg in legs] == [0, 1]
    assert (legs[0].token_in, legs[-1].token_out) == (JUP, BONK)
    assert legs[0].token_out == legs[1].token_in and legs[0].token_out in (SOL, USDC)
    assert legs[1].fill.amount_in_base == legs[0].fill.amount_out_base
    hubs = {c.route.legs[0].token_out for c in decision.candidates if c.route}
    assert hubs == {SOL, USDC}, "both hubs were weighed"
    fair = decision.reference_base
    assert 0.93 * fair < decision.route.amount_out_base < 1.05 * fair


def test_a_large_order_over_a_hub_is_divided_within_its_hops() -> None:
    swap = Swap(JUP, BONK, 400_000 * 10**6)

    decision = decide(swap, pools_for(swap), market_terms(swap))

    assert len(decision.route.legs) == 3
    hops = list(decision.route.hops())
    assert len(hops) == 2
    assert sum(leg.fill.amount_in_base for leg in hops[1]) == sum(
        leg.fill.amount_out_base for leg in hops[0]
    )
    assert decision.route.amount_out_base > decision.plain.amount_out_base


def test_a_route_over_a_hub_is_not_divided_over_three_venues() -> None:
    """A transaction has no room for that."""

    def hop(venue: str, address: str, a: Token, b: Token) -> Pool:
        return CpmmPool(venue, address, a, b, 1, 10**12, 10**12, 0)

    first, second = hop("a", "first", JUP, SOL), hop("b", "second", SOL, BONK)
    swap = Swap(JUP, BONK, 10**11)

    def legs(venue: str) -> int:
        third = hop(venue, "third", SOL, BONK)
        return len(decide(swap, answers(first, second, third), TERMS).route.legs)

    assert [legs("a"), legs("b"), legs("c")] == [3, 3, 2]


def test_over_a_hub_whichever_hop_gains_more_is_divided_and_no_size_is_a_surprise() -> None:
    rng, decided = random.Random(7), 0
    for _ in range(120):
        token_in, token_out = rng.sample([t for t in TOKENS.values() if t not in (SOL, USDC)], 2)
        dollars = 10 ** rng.uniform(3, 7.6)
        price = Market(seed=1).price_pico_usd(token_in, 0)
        swap = Swap(token_in, token_out, int(dollars * 10**12 * 10**token_in.decimals / price))
        terms, found = market_terms(swap), pools_for(swap)
        best = max(divided_over_hubs(swap, terms), default=None)
        try:
            decision = decide(swap, found, terms)
        except Undecided as undecided:
            assert undecided.error.code == "INSUFFICIENT_LIQUIDITY"
            assert best is None
            assert not has_way(swap, found)
            continue
        decided += 1
        assert best is not None and decision.net_out_base >= best

    assert 80 < decided < 120


def divided_over_hubs(swap: Swap, terms: Terms) -> Iterable[int]:
    """The net output of each way over a hub, with either hop divided."""
    token_out = swap.token_out
    for hub in (SOL, USDC):
        for first, second in ((1, 1), (1, 2), (2, 1)):
            amount_base, legs = swap.amount_in_base, 0
            try:
                for pair, most in (((swap.token_in, hub), first), ((hub, token_out), second)):
                    pools = [
                        PrudentPool(pool)
                        for name in PROMPT_VENUES
                        for pool in pools_of(name, *pair)
                    ]
                    parts = best_split(
                        pools,
                        token_in=pair[0],
                        amount_in_base=amount_base,
                        leg_cost_base=terms.leg_cost_base(pair[1]),
                        max_legs=most,
                    )
                    amount_base, legs = (
                        sum(p.fill.amount_out_base for p in parts),
                        legs + len(parts),
                    )
            except Rejected:
                continue
            cost_base = terms.network_fee_base(token_out) + legs * terms.leg_cost_base(token_out)
            yield amount_base - cost_base
