"""Pools to divide an order over, and what the best division of it pays: by search, or exactly."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from math import isqrt
from random import Random
from typing import Any

from routing.cpmm import FEE_TIERS_PPM, CpmmPool
from routing.errors import Rejected
from routing.pool import PRICE_ONE, Fill, Pool
from routing.split import Part, best_split
from routing.tokens import SOL, USDC, Token


@dataclass(frozen=True)
class StepPool:
    """A pool that takes SOL at one price after the other; each step is (how much, at what price in millionths)."""

    address: str
    steps: tuple[tuple[int, int], ...]
    venue: str = "steps"
    token_x: Token = SOL
    token_y: Token = USDC
    slot: int = 7

    def exact_in(self, token_in: Token, amount_in_base: int) -> Fill:
        left, millionths = amount_in_base, 0
        for room, price in self.steps:
            taken = min(left, room)
            left, millionths = left - taken, millionths + taken * price
        if left or not self.steps:
            raise Rejected("INSUFFICIENT_LIQUIDITY", "too much")
        if millionths < 10**6:
            raise Rejected("AMOUNT_TOO_SMALL", "too little")
        return Fill(amount_in_base, millionths // 10**6, 0)

    def exact_out(self, token_in: Token, amount_out_base: int) -> Fill:
        raise NotImplementedError

    def at_mid(self, token_in: Token, amount_in_base: int) -> int:
        return amount_in_base * self.steps[0][1] // 10**6

    def takes_above(self, token_in: Token, price: int) -> int:
        return sum(room for room, earns in self.steps if earns * PRICE_ONE >= price * 10**6)

    def reserve_base(self, token: Token) -> int:
        return sum(room * price for room, price in self.steps) // 10**6

    def as_json(self) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class Watched(CpmmPool):
    """Counts what it is asked."""

    asked: Counter[str] = field(default_factory=Counter)

    def exact_in(self, token_in: Token, amount_in_base: int) -> Fill:
        self.asked["exact_in"] += 1
        return CpmmPool.exact_in(self, token_in, amount_in_base)

    def takes_above(self, token_in: Token, price: int) -> int:
        self.asked["takes_above"] += 1
        return CpmmPool.takes_above(self, token_in, price)


def cpmm(address: str, x: int, y: int, fee_ppm: int = 0) -> CpmmPool:
    return CpmmPool("raydium", address, SOL, USDC, 7, x, y, fee_ppm)


def watched(address: str, x: int, y: int) -> Watched:
    return Watched("raydium", address, SOL, USDC, 7, x, y, 2_500)


def split(
    pools: Sequence[Pool], amount_in: int, *, leg_cost: int = 0, max_legs: int = 4
) -> tuple[Part, ...]:
    return best_split(
        pools,
        token_in=SOL,
        amount_in_base=amount_in,
        leg_cost_base=leg_cost,
        max_legs=max_legs,
    )


def shares(parts: Sequence[Part]) -> dict[str, int]:
    return {part.pool.address: part.fill.amount_in_base for part in parts}


def net(parts: Sequence[Part], leg_cost: int) -> int:
    return sum(part.fill.amount_out_base - leg_cost for part in parts)


def paid(pool: Pool, amount_in: int) -> int:
    try:
        return pool.exact_in(SOL, amount_in).amount_out_base
    except Rejected as refusal:
        assert refusal.code == "AMOUNT_TOO_SMALL"
        return 0


def some_pools(rng: Random, count: int) -> list[Pool]:
    """Of both kinds, around the price 0.15, up to 1 % apart, from 100 to 10,000 SOL deep."""
    pools: list[Pool] = []
    for n in range(count):
        depth, price = int(10 ** rng.uniform(11, 13)), rng.randint(148_500, 151_500)
        if rng.random() < 0.5:
            fee_ppm = rng.choice(list(FEE_TIERS_PPM.values()))
            pools.append(cpmm(f"{n}", depth, depth * price // 10**6, fee_ppm))
        else:
            prices = [price - rng.randint(0, 1_000) * step for step in range(1, 30)]
            steps = [(rng.randint(1, depth // 20), price) for price in sorted(prices)[::-1]]
            pools.append(StepPool(f"{n}", (*steps, (2**64, 1_000))))
    return pools


@dataclass(frozen=True)
class Case:
    pools: list[Pool]
    amount_in: int
    leg_cost: int
    max_legs: int


def some_case(rng: Random, most_pools: int) -> Case:
    """Leg costs run from nothing to a hundredth of what the amount is worth."""
    amount_in = int(10 ** rng.uniform(8, 13))
    return Case(
        pools=some_pools(rng, rng.randint(2, most_pools)),
        amount_in=amount_in,
        leg_cost=int(amount_in * 0.15 * rng.choice([0, 10 ** rng.uniform(-6, -2)])),
        max_legs=rng.randint(1, 3),
    )


def divided(pools: Sequence[Pool], amount_in: int) -> int:
    """The best output over all these pools: each two of them divide what they have, until nothing gets better."""
    amounts = [amount_in // len(pools)] * len(pools)
    amounts[0] += amount_in - sum(amounts)
    best, before = sum(map(paid, pools, amounts)), -1
    while best - before > best // 10**9:
        before = best
        for one, other in combinations(range(len(pools)), 2):
            both = amounts[one] + amounts[other]
            low, high = 0, both
            while high - low > 2:
                third = (high - low) // 3
                left, right = low + third, high - third
                pays_left, pays_right = (
                    paid(pools[one], part) + paid(pools[other], both - part)
                    for part in (left, right)
                )
                low, high = (left, high) if pays_left < pays_right else (low, right)
            amounts[one], amounts[other] = low, both - low
        best = max(best, sum(map(paid, pools, amounts)))
    return best


def best_by_search(case: Case) -> int:
    """The net output of the best division over any legs."""
    return max(
        divided(legs, case.amount_in) - case.leg_cost * len(legs)
        for count in range(1, case.max_legs + 1)
        for legs in combinations(case.pools, count)
    )


def closed_form(pools: Sequence[CpmmPool], amount_in: int) -> list[Fraction]:
    """The exact shares at equal marginal prices; every kept * reserve * reserve is a square."""
    taking = list(range(len(pools)))
    while True:
        kept = {n: 1 - Fraction(pools[n].fee_ppm, 10**6) for n in taking}
        x = {n: pools[n].reserve_x_base for n in taking}
        root = {n: exact_root(kept[n] * x[n] * pools[n].reserve_y_base) for n in taking}
        s = (amount_in + sum(x[n] / kept[n] for n in taking)) / sum(
            root[n] / kept[n] for n in taking
        )
        share = {n: (s * root[n] - x[n]) / kept[n] for n in taking}
        if min(share.values()) >= 0:
            return [share.get(n, Fraction(0)) for n in range(len(pools))]
        taking = [n for n in taking if share[n] > 0]


def exact_root(square: Fraction) -> Fraction:
    root = Fraction(isqrt(square.numerator), isqrt(square.denominator))
    assert root**2 == square
    return root


def exactly_paid(pool: CpmmPool, amount_in: Fraction) -> Fraction:
    net_in = amount_in * (1 - Fraction(pool.fee_ppm, 10**6))
    return pool.reserve_y_base * net_in / (pool.reserve_x_base + net_in)
