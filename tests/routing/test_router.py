"""Which way a swap goes: decided from what venues answered, and from nothing else."""

import random
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.answers import Answer
from routing.cpmm import CpmmPool
from routing.errors import Rejected, Unavailable
from routing.market import Market
from routing.pool import Pool
from routing.prudence import MOST_OF_A_POOL_PCT, PrudentPool
from routing.route import ReferencePrices
from routing.router import Decision, Terms, Undecided, decide, has_way, min_amount_out, pairs_of
from routing.split import best_split
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import Swap
from tests.routing.lab import PROMPT_VENUES, pools_of

JUP, BONK = TOKENS["JUP"], TOKENS["BONK"]
# A SOL is worth 100 dollars, so 5,000 lamports are half a thousandth of a dollar: 500 base units of USDC.
PRICES = ReferencePrices({"SOL": 100 * 10**12, "USDC": 10**12, "JUP": 10**12, "BONK": 2 * 10**7})
TERMS = Terms(PRICES, network_fee_lamports=5_000, leg_cost_lamports=0)
ONE_SOL = Swap(SOL, USDC, 10**9)


def a_pool(
    name: str,
    *,
    sol: int = 10_000,
    usdc: int = 1_000_000,
    venue: str = "a",
    fee_ppm: int = 0,
    slot: int = 1,
) -> Pool:
    """SOL and USDC in whole tokens."""
    return CpmmPool(venue, name, SOL, USDC, slot, sol * 10**9, usdc * 10**6, fee_ppm)


def answers(*pools: Pool) -> list[Answer]:
    venues = dict.fromkeys(pool.venue for pool in pools)
    return [Answer(v, tuple(pool for pool in pools if pool.venue == v)) for v in venues]


def failed(venue: str, code: str, *, retryable: bool) -> Answer:
    return Answer(venue, error_code=code, error=f"{venue} says {code}", retryable=retryable)


def pools_for(swap: Swap) -> list[Answer]:
    """What the real venues answer, at slot 0."""
    return [
        Answer(name, tuple(pool for pair in pairs_of(swap) for pool in pools_of(name, *pair)))
        for name in PROMPT_VENUES
    ]


def market_terms(swap: Swap, *, leg_cost_lamports: int = 5_000) -> Terms:
    tokens = {t for pair in pairs_of(swap) for t in pair} | {SOL}
    return Terms(
        Market(seed=1).reference_prices(list(tokens), 0),
        network_fee_lamports=5_000,
        leg_cost_lamports=leg_cost_lamports,
    )


def pool_names(decision: Decision) -> list[str]:
    return [leg.pool.address for leg in decision.route.legs]


def test_the_best_net_output_wins_and_losers_say_why() -> None:
    cheap, dear = a_pool("cheap", usdc=1_010_000), a_pool("dear", venue="b")

    decision = decide(ONE_SOL, answers(dear, cheap), TERMS)

    assert pool_names(decision) == ["cheap"]
    assert [c.lost_because is None for c in decision.candidates] == [False, True]
    assert decision.route.amount_out_base == cheap.exact_in(SOL, 10**9).amount_out_base
    assert decision.net_out_base == decision.route.amount_out_base - 500
    less = Fraction(
        decision.route.amount_out_base - dear.exact_in(SOL, 10**9).amount_out_base,
        decision.net_out_base,
    )
    (lost,) = [c.lost_because for c in decision.candidates if c.lost_because]
    assert lost.startswith("net output ") and lost.endswith(
        " bps below the chosen route's, after all fees"
    )
    assert 0 <= Fraction(lost.split()[2]) - less * 10_000 < Fraction(1, 100)


def test_a_better_output_of_a_dearer_pool_counts_after_its_fee() -> None:
    dear = a_pool("dear", usdc=1_002_000, fee_ppm=3_000)
    free = a_pool("free")

    assert pool_names(decide(ONE_SOL, answers(dear, free), TERMS)) == ["free"]


def test_a_large_order_is_divided_and_a_small_one_is_not() -> None:
    pools = [a_pool("one"), a_pool("two", venue="b", usdc=999_000)]

    small = decide(Swap(SOL, USDC, 10**7), answers(*pools), TERMS)
    large = decide(Swap(SOL, USDC, 1_000 * 10**9), answers(*pools), TERMS)

    assert pool_names(small) == ["one"]
    assert sorted(pool_names(large)) == ["one", "two"]
    assert large.route.venue == "a+b"
    assert large.route.amount_in_base == 1_000 * 10**9
    best = max(pool.exact_in(SOL, 1_000 * 10**9).amount_out_base for pool in pools)
    assert large.route.amount_out_base > best == large.plain.amount_out_base


def test_a_leg_must_earn_its_cost() -> None:
    pools = [a_pool("one"), a_pool("two", venue="b")]
    swap = Swap(SOL, USDC, 100 * 10**9)
    free = decide(swap, answers(*pools), TERMS)
    gain_base = free.route.amount_out_base - free.plain.amount_out_base
    lamports = gain_base * 10**9 // (100 * 10**6)

    def legs(leg_cost_lamports: int) -> int:
        terms = Terms(PRICES, network_fee_lamports=0, leg_cost_lamports=leg_cost_lamports)
        return len(decide(swap, answers(*pools), terms).route.legs)

    assert legs(lamports * 99 // 100) == 2
    assert legs(lamports * 101 // 100) == 1


def test_no_leg_takes_the_last_of_what_a_pool_holds() -> None:
    """Pools move before a swap lands: what is left has to do for that."""
    for sol in (1_000, 5_000, 20_000, 40_000):
        swap = Swap(SOL, USDC, sol * 10**9)
        for leg in decide(swap, pools_for(swap), market_terms(swap)).route.legs:
            held_base = leg.pool.reserve_base(USDC)
            assert leg.fill.amount_out_base <= held_base * MOST_OF_A_POOL_PCT // 100

    everything = Swap(SOL, USDC, 10**18)
    with pytest.raises(Undecided) as undecided:
        decide(everything, pools_for(everything), market_terms(everything))
    assert undecided.value.error.code == "INSUFFICIENT_LIQUIDITY"
    assert all(each.lost_because for each in undecided.value.candidates)


def test_a_pool_is_relied_on_for_a_part_in_either_direction() -> None:
    for whole in (*pools_of("raydium", SOL, USDC), *pools_of("meteora", SOL, USDC)):
        pool = PrudentPool(whole)
        for token_in, token_out in ((SOL, USDC), (USDC, SOL)):
            most_base = pool.takes_above(token_in, 1)
            paid_base = pool.exact_in(token_in, most_base).amount_out_base
            assert paid_base <= whole.reserve_base(token_out) * MOST_OF_A_POOL_PCT // 100
            assert paid_base > whole.reserve_base(token_out) * 79 // 100
            with pytest.raises(Rejected, match="more than 80 %"):
                pool.exact_in(token_in, most_base + most_base // 1_000)


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


def test_the_order_of_the_answers_decides_nothing() -> None:
    swap = Swap(SOL, USDC, 30_000 * 10**9)
    pools = [pool for answer in pools_for(swap) for pool in answer.pools]

    routes = {
        decide(swap, [Answer(p.venue, (p,)) for p in order], market_terms(swap)).route
        for order in permutations(pools)
    }

    assert len(routes) == 1


def random_swaps(count: int) -> Iterable[tuple[Swap, list[Pool]]]:
    rng = random.Random(20_261_125)
    for _ in range(count):
        pools: list[Pool] = [
            CpmmPool(
                rng.choice("abc"),
                f"pool {n}",
                SOL,
                USDC,
                1,
                int(10 ** rng.uniform(9, 15)),
                int(10 ** rng.uniform(8, 14)),
                rng.choice((100, 2_500, 10_000)),
            )
            for n in range(rng.randint(1, 6))
        ]
        deepest_base = max(pool.reserve_base(SOL) for pool in pools)
        yield Swap(SOL, USDC, int(deepest_base * 10 ** rng.uniform(-5, 0.4))), pools


def test_no_decision_is_worse_than_the_best_single_pool_on_10_000_random_orders() -> None:
    weighed = divided = 0
    for swap, pools in random_swaps(10_000):
        singles = []
        for pool in pools:
            try:
                singles.append(PrudentPool(pool).exact_in(SOL, swap.amount_in_base).amount_out_base)
            except Rejected:
                continue
        if not singles:
            continue
        terms = Terms(PRICES, network_fee_lamports=5_000, leg_cost_lamports=5_000)
        decision = decide(swap, answers(*pools), terms)
        weighed += 1
        divided += len(decision.route.legs) > 1
        assert decision.net_out_base >= max(singles) - 500 - 500
        assert decision.route.amount_in_base == swap.amount_in_base
        assert len(decision.route.legs) <= terms.max_legs

    assert weighed > 9_900
    assert divided > 1_000


def test_one_answer_is_enough() -> None:
    late = failed("late", "QUOTE_TIMEOUT", retryable=True)

    decision = decide(ONE_SOL, [late, *answers(a_pool("one"))], TERMS)

    assert pool_names(decision) == ["one"]
    (lost,) = [c for c in decision.candidates if c.route is None]
    assert (lost.venue, lost.lost_because) == ("late", "no quote: late says QUOTE_TIMEOUT")


@pytest.mark.parametrize(
    ("answered", "kind", "code"),
    [
        (
            [Answer("a"), failed("b", "QUOTE_TIMEOUT", retryable=True)],
            Unavailable,
            "NO_QUOTE",
        ),
        ([Answer("a"), Answer("b")], Rejected, "NO_ROUTE"),
        (
            answers(a_pool("tiny", sol=10**9, usdc=1)),
            Rejected,
            "AMOUNT_TOO_SMALL",
        ),
        ([], Rejected, "NO_ROUTE"),
    ],
)
def test_no_route_at_all_says_whether_to_try_again(
    answered: list[Answer], kind: type[Exception], code: str
) -> None:
    with pytest.raises(Undecided) as undecided:
        decide(Swap(SOL, USDC, 1), answered, TERMS)

    assert type(undecided.value.error) is kind
    assert undecided.value.error.code == code


def all_pairs() -> list[tuple[Token, Token]]:
    return list(permutations(TOKENS.values(), 2))


def test_there_is_a_way_exactly_when_a_decision_finds_one() -> None:
    rng = random.Random(20_261_125)
    kinds: Counter[str] = Counter()
    for token_in, token_out in all_pairs() * 4:
        swap = Swap(token_in, token_out, int(10 ** rng.uniform(0, 19)))
        known = [pool for answer in pools_for(swap) for pool in answer.pools]
        some = answers(*rng.sample(known, rng.randint(0, min(len(known), 5))))
        try:
            decision = decide(swap, some, market_terms(swap))
        except Undecided:
            kinds["none"] += 1
            assert not has_way(swap, some)
        else:
            hops = decision.route.legs[-1].hop + 1
            kinds["direct" if hops == 1 else "over a hub"] += 1
            assert has_way(swap, some)

    assert min(kinds[kind] for kind in ("none", "direct", "over a hub")) > 50


def test_an_amount_that_only_several_pools_take_together_has_a_way() -> None:
    pools = pools_of("meteora", SOL, USDC)
    most_base = max(PrudentPool(pool).takes_above(SOL, 1) for pool in pools)
    swap = Swap(SOL, USDC, most_base + most_base // 100)

    assert len(decide(swap, answers(*pools), market_terms(swap)).route.legs) > 1
    assert has_way(swap, answers(*pools))
    assert not any(has_way(swap, answers(pool)) for pool in pools)


@pytest.mark.parametrize(("token_in", "token_out"), all_pairs())
def test_what_a_route_costs_adds_up_to_the_base_unit(token_in: Token, token_out: Token) -> None:
    for dollars in (10, 50_000):
        amount_base = dollars * 10**12 * 10**token_in.decimals
        amount_base //= Market(seed=1).price_pico_usd(token_in, 0)
        swap = Swap(token_in, token_out, amount_base)
        decision = decide(swap, pools_for(swap), market_terms(swap))

        for route in (decision.route, decision.plain):
            costs = route.costs
            assert costs.at_mid_base == costs.fee_base + costs.impact_base + route.amount_out_base
            assert costs.fee_base > 0
            assert costs.impact_base >= 0


@given(st.integers(0, 2**64), st.integers(0, 10_000))
def test_the_minimum_output_is_rounded_up(amount_out: int, slippage_bps: int) -> None:
    minimum = min_amount_out(amount_out, slippage_bps)

    assert minimum * 10_000 >= amount_out * (10_000 - slippage_bps) > (minimum - 1) * 10_000
    assert minimum <= amount_out


@pytest.mark.parametrize("slippage_bps", [-1, 10_001])
def test_a_slippage_limit_beyond_reason_is_refused(slippage_bps: int) -> None:
    with pytest.raises(ValueError, match="slippage_bps"):
        min_amount_out(1, slippage_bps)
