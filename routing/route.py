"""A way from one token to another: the pools that a swap goes through, and what each takes and pays.

A route is one hop, or several one after another; a hop is one pool, or several side by side. Pure data and arithmetic.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from routing.pool import Fill, Pool
from routing.rounding import BPS, ceil_div
from routing.tokens import Token


@dataclass(frozen=True, slots=True)
class Leg:
    """One swap in one pool, as quoted, in its hop (from 0)."""

    hop: int
    pool: Pool
    token_in: Token
    token_out: Token
    fill: Fill


@dataclass(frozen=True, slots=True)
class RouteCosts:
    """`at_mid_base` = fee + impact + what the route pays, in base units of token out."""

    at_mid_base: int
    fee_base: int
    impact_base: int


@dataclass(frozen=True, slots=True)
class Route:
    """Legs in the order of their hops. Those of a hop swap the same pair; the next hop takes in what it pays.

    Made by `route_of`. `venue` names each venue once, in the order of the legs: "raydium", or "raydium+meteora".
    """

    legs: tuple[Leg, ...]
    venue: str
    amount_in_base: int
    amount_out_base: int
    costs: RouteCosts

    @property
    def is_plain(self) -> bool:
        """Whether each hop is one pool: what the route costs can then be told apart."""
        return len(self.legs) == self.legs[-1].hop + 1

    @property
    def price_impact_bps(self) -> int:
        """By how much it moves the price against itself, rounded up: for people, it decides nothing."""
        impact_base = self.costs.impact_base
        without_base = self.amount_out_base + impact_base
        return ceil_div(max(impact_base, 0) * BPS, without_base) if without_base > 0 else 0

    def hops(self) -> Iterator[Sequence[Leg]]:
        """The legs of each hop."""
        return hops_of(self.legs)


def hops_of(legs: Sequence[Leg]) -> Iterator[Sequence[Leg]]:
    """The legs of each hop."""
    for hop in range(legs[-1].hop + 1):
        yield [leg for leg in legs if leg.hop == hop]


def route_of(legs: tuple[Leg, ...]) -> Route:
    """The route of these legs, and what becomes of the value of the amount on its way.

    Hop by hop, at the pools' prices before the swap; what a hop cost is worth what is left of it in the next. A hop of
    several pools counts as one with their mean price. Costs are differences of rounded values, so the sum is exact.
    """
    fee_base = impact_base = paid_base = amount_in_base = 0
    for hop, along in enumerate(hops_of(legs)):
        gross = net = paid_base = taken_base = 0
        for leg in along:
            fill, at_mid, token_in = leg.fill, leg.pool.at_mid, leg.token_in
            gross += at_mid(token_in, fill.amount_in_base)
            net += at_mid(token_in, fill.amount_in_base - fill.fee_base)
            paid_base += fill.amount_out_base
            taken_base += fill.amount_in_base
        if hop == 0:
            amount_in_base = taken_base
        else:  # what earlier hops cost is in token in of this one
            fee_base = fee_base * gross // taken_base
            impact_base = impact_base * gross // taken_base
        fee_base += gross - net
        impact_base += net - paid_base
    costs = RouteCosts(fee_base + impact_base + paid_base, fee_base, impact_base)
    venue = "+".join(dict.fromkeys([leg.pool.venue for leg in legs]))
    return Route(legs, venue, amount_in_base, paid_base, costs)


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
