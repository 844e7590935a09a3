"""How to divide one amount over pools of the same pair, so that it pays the most after what each leg costs.

Shares have equal marginal prices: at one clearing price, each pool takes what it takes while a base unit still earns
that price, so no unit would earn more elsewhere. For constant-product pools that is the closed form
in_i = (s * sqrt(kept_i * reserve_in_i * reserve_out_i) - reserve_in_i) / kept_i, where kept_i is 1 - fee and s the
same for all, such that the parts sum to the amount.

Which pools are worth a leg is decided by duality. At any price, what a pool pays for all that it takes, less that
amount at the price, less the cost of a leg, is the most that a leg in it can add. The whole amount at the price, plus
the worth of the best legs, bounds every division; one that reaches the bound is the best.

What it refuses: to know kinds of pools (it sees their protocol alone), venues or quotes, and to round: every amount
out is a pool's own fill.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from typing import Final

from routing.errors import Rejected
from routing.pool import MAX_U64, PRICE_ONE, Fill, Pool
from routing.tokens import Token

_CLOSE_ENOUGH: Final = 10**6
"""Shares are close enough when better ones could earn one part of so many more: 0.01 basis points."""

_NEAR: Final = 3
"""How many legs on either side of the cut are tried in every combination, where the bound is not reached."""

_Legs = tuple[int, ...]
"""Which pools take part: ascending indexes."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one pool takes of an amount, and pays for it."""

    pool: Pool
    fill: Fill


def best_split(
    pools: Sequence[Pool],
    *,
    token_in: Token,
    amount_in_base: int,
    leg_cost_base: int,
    max_legs: int,
) -> tuple[Part, ...]:
    """The parts with the best total output less `leg_cost_base`, in token out, for each; the largest output first.

    Of one or more pools, at most `max_legs`, 1 or more, take a part, and the parts sum to `amount_in_base` exactly. A
    pool that refuses its part takes none, and an amount that no pool takes alone is divided. Never worse than the best
    single pool; the best to about 0.02 basis points, where marginal prices fall as amounts grow. The order of `pools`
    does not matter.
    Raises `Rejected`, as a pool does for the whole amount, if no division within `max_legs` takes it.
    """
    takers: list[Pool] = []
    fills: list[Fill | None] = []
    refusals: list[Rejected] = []
    for pool in sorted(pools, key=lambda pool: (pool.venue, pool.address)):
        try:
            fill = pool.exact_in(token_in, amount_in_base)
        except Rejected as refusal:
            refusals.append(refusal)
            # Nothing else is helped by a smaller part.
            if refusal.code != "INSUFFICIENT_LIQUIDITY":
                continue
            fill = None
        takers.append(pool)
        fills.append(fill)
    order = _Order(takers, fills, token_in, amount_in_base, leg_cost_base, max_legs)
    division = order.undivided() or order.widest()
    if division is None:
        raise refusals[0]
    return order.improved(division).parts


@dataclass(frozen=True, slots=True)
class _Division:
    """`price` is about what the next base unit would earn; `net_out_base` the output less what the legs cost."""

    parts: tuple[Part, ...]
    price: int
    net_out_base: int

    def is_within_reach_of(self, bound_base: int) -> bool:
        """Whether more than it, up to the bound, would hardly matter: 0.02 basis points."""
        return (bound_base - self.net_out_base) * _CLOSE_ENOUGH <= 2 * abs(self.net_out_base)


@dataclass(frozen=True, slots=True)
class _Supply:
    """What each of some pools takes at a price, and all together."""

    price: int
    takes_base: list[int]
    total_base: int


@dataclass(frozen=True, slots=True)
class _View:
    """An order at one price: what its amount earns at that price, and the most that a leg in each pool can add."""

    amount_out_base: int
    worth_base: list[int]

    def bound(self, legs: _Legs) -> int:
        """No division over these legs pays more, net."""
        return self.amount_out_base + sum([self.worth_base[leg] for leg in legs])

    def best_legs(self, max_legs: int) -> _Legs:
        """Those with the highest bound: all that add something, as far as they may; at least one."""
        first, *others = _largest_first(self.worth_base)[:max_legs]
        return tuple(sorted([first, *(leg for leg in others if self.worth_base[leg] > 0)]))

    def near(self, max_legs: int) -> list[_Legs]:
        """Those that differ from the best legs in the ones next to the cut only; the highest bound first."""
        ranked = _largest_first(self.worth_base)
        cut = len(self.best_legs(max_legs))
        start = max(cut - _NEAR, 0)
        sure, unsure = ranked[:start], ranked[start : cut + _NEAR]
        sizes = range(0 if sure else 1, max_legs - start + 1)
        choices = [(*sure, *some) for size in sizes for some in combinations(unsure, size)]
        return sorted((tuple(sorted(legs)) for legs in choices), key=self.bound, reverse=True)


@dataclass(frozen=True, slots=True)
class _Order:
    """An amount, and the pools that may share it, each with its fill of the whole."""

    pools: list[Pool]
    fills: list[Fill | None]
    token_in: Token
    amount_in_base: int
    leg_cost_base: int
    max_legs: int

    def undivided(self) -> _Division | None:
        """All of it in the pool that pays most, if one takes it."""
        best: Part | None = None
        for pool, fill in zip(self.pools, self.fills, strict=True):
            if fill and (best is None or fill.amount_out_base > best.fill.amount_out_base):
                best = Part(pool, fill)
        return self._division([best], self._price_after(best)) if best else None

    def widest(self) -> _Division | None:
        """Divided over the pools that take most, whatever they pay, if together they take it."""
        supply = self._supply(self.pools, 1)
        if not 0 < self.amount_in_base <= supply.total_base:
            return None
        legs = _largest_first(supply.takes_base)
        price = max(pool.at_mid(self.token_in, MAX_U64) for pool in self.pools)
        return self._divided(tuple(sorted(legs[: self.max_legs])), price + 1)

    def improved(self, best: _Division) -> _Division:
        """The best division, starting from one.

        Each turn divides over the legs that look best at the last turn's price, until nothing is left to gain. Where
        the same legs come round again first, those near the cut are tried, the most promising first.
        """
        if self.max_legs == 1:
            return best
        price, views, tried = best.price, list[_View](), set[_Legs]()
        while True:
            view = self._view(price)
            views.append(view)
            legs = view.best_legs(self.max_legs)
            if best.is_within_reach_of(view.bound(legs)):
                return best
            division = self._divided(legs, price) if legs not in tried else None
            if division is None:
                break
            tried.add(legs)
            price = division.price
            best = max(best, division, key=_net_out_base)
        for legs in view.near(self.max_legs):
            if legs in tried or best.is_within_reach_of(min(seen.bound(legs) for seen in views)):
                continue
            if division := self._divided(legs, price):
                best = max(best, division, key=_net_out_base)
        return best

    def _view(self, price: int) -> _View:
        worth_base = []
        for pool, fill in zip(self.pools, self.fills, strict=True):
            takes_base = pool.takes_above(self.token_in, price)
            if takes_base < self.amount_in_base:
                fill = self._fill(pool, takes_base) if takes_base else None
            added_base = -self.leg_cost_base
            if fill:
                added_base += fill.amount_out_base - price * fill.amount_in_base // PRICE_ONE
            worth_base.append(added_base)
        return _View(price * self.amount_in_base // PRICE_ONE, worth_base)

    def _divided(self, legs: _Legs, price: int) -> _Division | None:
        """Over these legs, without those that refuse so small a part; `price` is where to look for the clearing price.

        None if they can't take it all.
        """
        pools = [self.pools[leg] for leg in legs]
        while pools:
            bracket = self._bracket(pools, price)
            if bracket is None:
                return None
            low, high = bracket
            shares = self._shares(low, high)
            fills = [self._fill(pool, share) for pool, share in zip(pools, shares, strict=True)]
            parts = [Part(pool, fill) for pool, fill in zip(pools, fills, strict=True) if fill]
            if sum(part.fill.amount_in_base for part in parts) == self.amount_in_base:
                return self._division(parts, low.price)
            pools = [part.pool for part in parts]
        return None

    def _bracket(self, pools: Sequence[Pool], price: int) -> tuple[_Supply, _Supply] | None:
        """What the pools take just below and just above the clearing price; None if they can't take it all.

        The steps from `price` grow until they pass it. Then the bracket is halved until what the pools have not taken
        above it, earning the higher price instead of the lower one, would hardly matter.
        """
        amount_base = self.amount_in_base
        low = high = self._supply(pools, price)
        step = price // 512 + 1
        while high.total_base >= amount_base:
            low, high, step = high, self._supply(pools, high.price + step), 2 * step
        while low.total_base < amount_base:
            if low.price == 1:
                return None
            low, high, step = self._supply(pools, max(low.price - step, 1)), low, 2 * step
        while (width := high.price - low.price) > 1:
            if width * (amount_base - high.total_base) * _CLOSE_ENOUGH <= high.price * amount_base:
                break
            middle = self._supply(pools, low.price + width // 2)
            if middle.total_base < amount_base:
                high = middle
            else:
                low = middle
        return low, high

    def _shares(self, low: _Supply, high: _Supply) -> list[int]:
        """What the pools take above the clearing price, and what is left, in proportion to what more they take below.

        Along curves that is the line between two points; at a price where bins lie, any proportion pays the same.
        """
        room_base = [b - a for a, b in zip(high.takes_base, low.takes_base, strict=True)]
        left_base = self.amount_in_base - high.total_base
        handed = [left_base * up_to // sum(room_base) for up_to in accumulate(room_base, initial=0)]
        more = [after - before for before, after in pairwise(handed)]
        return [a + b for a, b in zip(high.takes_base, more, strict=True)]

    def _supply(self, pools: Sequence[Pool], price: int) -> _Supply:
        takes_base = [pool.takes_above(self.token_in, price) for pool in pools]
        return _Supply(price, takes_base, sum(takes_base))

    def _fill(self, pool: Pool, amount_in_base: int) -> Fill | None:
        try:
            return pool.exact_in(self.token_in, amount_in_base)
        except Rejected:
            return None

    def _price_after(self, part: Part) -> int:
        """About what the next base unit would earn in its pool: the average of the next sixteenth."""
        more_in_base = part.fill.amount_in_base // 16 + 1
        more = self._fill(part.pool, part.fill.amount_in_base + more_in_base)
        if more is None:
            return part.fill.amount_out_base * PRICE_ONE // part.fill.amount_in_base
        # One less, as both outputs are rounded: rather too low, and the pool surely takes all of the part.
        more_out_base = more.amount_out_base - part.fill.amount_out_base - 1
        return max(more_out_base * PRICE_ONE // more_in_base, 1)

    def _division(self, parts: list[Part], price: int) -> _Division:
        ranked = sorted(parts, key=lambda part: -part.fill.amount_out_base)
        net_out_base = sum(part.fill.amount_out_base - self.leg_cost_base for part in parts)
        return _Division(tuple(ranked), price, net_out_base)


def _largest_first(numbers: list[int]) -> list[int]:
    """Their indexes."""
    return sorted(range(len(numbers)), key=numbers.__getitem__, reverse=True)


def _net_out_base(division: _Division) -> int:
    return division.net_out_base
