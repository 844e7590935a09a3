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
from routing.router import Decision, Terms, Undecided, decide, has_way, min_amount_out
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import Swap
from tests.routing.decisions import (
    ONE_SOL,
    PRICES,
    TERMS,
    a_pool,
    answers,
    failed,
    market_terms,
    pools_for,
)
from tests.routing.lab import pools_of


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
