"""A way from one token to another: the pools that a swap goes through, and what each takes and pays.

A route is one hop, or several one after another; a hop is one pool, or several side by side. Pure data and arithmetic.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from routing.pool import Fill, Pool
from routing.rounding import BPS, ceil_div
from routing.tokens import Token


@dataclass(frozen=True)
class Leg:
    """One swap in one pool, as quoted, in its hop (from 0)."""

    hop: int
    pool: Pool
    token_in: Token
    token_out: Token
    fill: Fill


@dataclass(frozen=True)
class Route:
    """Legs in the order of their hops. Those of a hop swap the same pair; the next hop takes in what it pays."""

    legs: tuple[Leg, ...]

    @cached_property
    def amount_in_base(self) -> int:
        """What the first hop takes in."""
        return sum(leg.fill.amount_in_base for leg in self.legs if leg.hop == 0)

    @cached_property
    def amount_out_base(self) -> int:
        """What the last hop pays."""
        last = self.legs[-1].hop
        return sum(leg.fill.amount_out_base for leg in self.legs if leg.hop == last)

    @cached_property
    def venues(self) -> tuple[str, ...]:
        """Each venue once, in the order of the legs."""
        return tuple(dict.fromkeys(leg.pool.venue for leg in self.legs))

    @property
    def venue(self) -> str:
        """The venues as the wire names them: "raydium", or "raydium+meteora"."""
        return "+".join(self.venues)

    @property
    def is_plain(self) -> bool:
        """Whether each hop is one pool: what the route costs can then be told apart."""
        return len(self.legs) == self.legs[-1].hop + 1

    @property
    def slot(self) -> int:
        """The oldest state that it rests on."""
        return min(leg.pool.slot for leg in self.legs)

    def hops(self) -> Iterator[Sequence[Leg]]:
        """The legs of each hop."""
        for hop in range(self.legs[-1].hop + 1):
            yield [leg for leg in self.legs if leg.hop == hop]

    @cached_property
    def costs(self) -> "RouteCosts":
        """What becomes of the value of the amount on its way, in token out."""
        return _costs(self)

    @property
    def price_impact_bps(self) -> int:
        """By how much it moves the price against itself, rounded up: for people, it decides nothing."""
        costs = self.costs
        without = self.amount_out_base + costs.impact_base
        return ceil_div(max(costs.impact_base, 0) * BPS, without) if without > 0 else 0


@dataclass(frozen=True, slots=True)
class RouteCosts:
    """`at_mid_base` = fee + impact + what the route pays, in base units of token out."""

    at_mid_base: int
    fee_base: int
    impact_base: int


def _costs(route: Route) -> RouteCosts:
    """Hop by hop, at the pools' prices before the swap; what a hop cost is worth what is left of it in the next.

    A hop of several pools counts as one with their mean price. Differences of rounded values, so the sum is exact.
    """
    at_mid_base = fee_base = impact_base = 0
    for legs in route.hops():
        token_in = legs[0].token_in
        gross = sum(leg.pool.at_mid(token_in, leg.fill.amount_in_base) for leg in legs)
        net = sum(
            leg.pool.at_mid(token_in, leg.fill.amount_in_base - leg.fill.fee_base) for leg in legs
        )
        paid = sum(leg.fill.amount_out_base for leg in legs)
        amount_in = sum(leg.fill.amount_in_base for leg in legs)
        if legs[0].hop:
            # What earlier hops cost is in token in of this one.
            fee_base = fee_base * gross // amount_in
            impact_base = impact_base * gross // amount_in
        fee_base += gross - net
        impact_base += net - paid
        at_mid_base = fee_base + impact_base + paid
    return RouteCosts(at_mid_base, fee_base, impact_base)


@dataclass(frozen=True, slots=True)
class ReferencePrices:
    """What tokens are worth on the market, in 10**-12 of a dollar for a whole one, by symbol."""

    pico_usd: Mapping[str, int]

    def convert(self, amount_base: int, token_in: Token, token_out: Token) -> int:
        """An amount in another token's base units, rounded up."""
        return ceil_div(
            amount_base * self.pico_usd[token_in.symbol] * 10**token_out.decimals,
            self.pico_usd[token_out.symbol] * 10**token_in.decimals,
        )
