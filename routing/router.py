"""Which way a swap goes: through the pools that pay the best net output.

A decision is a pure function of what venues answered, so it can be made again from what was stored of that, in another
process, years later.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from routing.answers import Answer
from routing.errors import Rejected, RoutingError, Unavailable
from routing.pool import Pool
from routing.prudence import PrudentPool
from routing.rounding import BPS, ceil_div
from routing.route import Leg, ReferencePrices, Route, route_of
from routing.split import best_split
from routing.tokens import SOL, USDC, Token
from routing.venue import Pair, Swap

HUBS: Final = (SOL, USDC)
"""Tokens that nearly every other has pools with: where a route of two hops changes."""

MAX_LEGS: Final = 3
"""What fits a transaction without address tables: 1,232 bytes, of which each leg's accounts take some 200."""

MAX_VENUES_OVER_A_HUB: Final = 2
"""In as many legs as that: beside three mints there is no room for the accounts of three programs."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a route costs beside its pools' fees, in lamports: once, and for each of its legs."""

    prices: ReferencePrices
    network_fee_lamports: int
    leg_cost_lamports: int
    max_legs: int = MAX_LEGS

    def network_fee_base(self, token: Token) -> int:
        """What the transaction costs, rounded up."""
        return self.prices.convert(self.network_fee_lamports, SOL, token)

    def leg_cost_base(self, token: Token) -> int:
        """What each leg costs, rounded up."""
        return self.prices.convert(self.leg_cost_lamports, SOL, token)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way that was weighed, or why there is none: an error with its code and whether to try again.

    `net_out_base` is what is left after the network's fee and the legs' cost, in token out; it may be below 0.
    `lost_because` is a sentence, on everyone but the winner.
    """

    venue: str
    route: Route | None = None
    net_out_base: int = 0
    error_code: str | None = None
    error: str | None = None
    retryable: bool = False
    lost_because: str | None = None

    def beaten(self, why: str) -> "Candidate":
        """The same with its `lost_because`."""
        return Candidate(
            self.venue,
            self.route,
            self.net_out_base,
            self.error_code,
            self.error,
            self.retryable,
            why,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """The winner, and everything that was weighed, single pools first, failed venues last."""

    swap: Swap
    terms: Terms
    answers: tuple[Answer, ...]
    route: Route
    net_out_base: int
    candidates: tuple[Candidate, ...]

    @property
    def reference_base(self) -> int:
        """What the amount is worth on the market, in token out, rounded up."""
        swap = self.swap
        return self.terms.prices.convert(swap.amount_in_base, swap.token_in, swap.token_out)

    @property
    def plain(self) -> Route:
        """The best route of one pool a hop: what there would be without dividing."""
        plain = [c for c in self.candidates if c.route is not None and c.route.is_plain]
        best = max(plain, key=_rank, default=None)
        return self.route if best is None or best.route is None else best.route


def pairs_of(swap: Swap) -> tuple[Pair, ...]:
    """The pairs whose pools may serve a swap: its own, then each hub's with either token."""
    return _pairs_between(swap.token_in, swap.token_out)


@lru_cache(maxsize=1_024)
def _pairs_between(token_in: Token, token_out: Token) -> tuple[Pair, ...]:
    hubs = _hubs(token_in, token_out)
    over_hubs = [pair for hub in hubs for pair in ((token_in, hub), (hub, token_out))]
    return ((token_in, token_out), *over_hubs)


def decide(swap: Swap, answers: Sequence[Answer], terms: Terms) -> Decision:
    """The best net output wins: of one pool, of several side by side, or of two hops over a hub.

    Pure: the same answers give the same decision. Raises `Undecided`.
    """
    failures = [_failure(answer) for answer in answers if answer.error_code is not None]
    pools = _by_pair(answers)
    candidates = failures
    if pools:
        costs = _Costs(terms.network_fee_base(swap.token_out), terms.leg_cost_base(swap.token_out))
        candidates = [*_weighed(swap, pools, terms, costs), *failures]
    ways = [candidate for candidate in candidates if candidate.route is not None]
    if not ways:
        refused = tuple(each.beaten(f"no quote: {each.error}") for each in candidates)
        raise Undecided(_no_route(swap, candidates), refused)
    winner = max(ways, key=_rank)
    assert winner.route is not None
    return Decision(
        swap,
        terms,
        tuple(answers),
        winner.route,
        winner.net_out_base,
        tuple(
            each if each is winner else each.beaten(_why_lost(each, winner)) for each in candidates
        ),
    )


class Undecided(Exception):
    """There is no way to swap: `error` says whether there may be one later, `candidates` why there is none.

    `error` is `Unavailable` (`NO_QUOTE`) when nobody quoted and somebody might, and `Rejected` when every answer is
    final: `NO_ROUTE` if nobody has a pool, else the code of a pool's refusal.
    """

    def __init__(self, error: RoutingError, candidates: tuple[Candidate, ...]) -> None:
        super().__init__(str(error))
        self.error = error
        self.candidates = candidates


def has_way(swap: Swap, answers: Sequence[Answer]) -> bool:
    """Whether `decide` finds one: that depends on no price and no cost. It looks no further than the first."""
    tokens = {token.symbol: 1 for pair in pairs_of(swap) for token in pair} | {SOL.symbol: 1}
    free = Terms(ReferencePrices(tokens), network_fee_lamports=0, leg_cost_lamports=0)
    weighed = _weighed(swap, _by_pair(answers), free, _Costs(0, 0))
    return any(candidate.route is not None for candidate in weighed)


def _hubs(token_in: Token, token_out: Token) -> list[Token]:
    return [hub for hub in HUBS if hub not in (token_in, token_out)]


def _key(a: Token, b: Token) -> frozenset[str]:
    return frozenset((a.mint, b.mint))


def _by_pair(answers: Sequence[Answer]) -> Mapping[frozenset[str], list[Pool]]:
    pools: dict[frozenset[str], list[Pool]] = {}
    for answer in answers:
        for pool in answer.pools:
            pools.setdefault(_key(pool.token_x, pool.token_y), []).append(pool)
    return pools


def _weighed(
    swap: Swap, pools: Mapping[frozenset[str], Sequence[Pool]], terms: Terms, costs: "_Costs"
) -> Iterator[Candidate]:
    """Every way, and every pool or hub that there is none through."""
    direct = pools.get(_key(swap.token_in, swap.token_out), ())
    plain = []
    for candidate in _plain(swap, direct, costs):
        plain.append(candidate)
        yield candidate
    yield from _divided(swap, direct, plain, terms, costs)
    yield from _over_hubs(swap, pools, terms, costs)


def _plain(swap: Swap, pools: Sequence[Pool], costs: "_Costs") -> Iterator[Candidate]:
    """Each pool of the pair on its own."""
    for pool in pools:
        try:
            fill = PrudentPool(pool).exact_in(swap.token_in, swap.amount_in_base)
        except Rejected as error:
            yield Candidate(pool.venue, error_code=error.code, error=str(error))
        else:
            yield costs.weigh((Leg(0, pool, swap.token_in, swap.token_out, fill),))


def _divided(
    swap: Swap, pools: Sequence[Pool], plain: Sequence[Candidate], terms: Terms, costs: "_Costs"
) -> Iterator[Candidate]:
    """Side by side through several pools of the pair, if that pays more than one of them."""
    if not _may_gain(plain, costs):
        return
    with suppress(Rejected):  # then each pool has said why
        legs = _along(
            [(swap.token_in, swap.token_out)],
            swap.amount_in_base,
            [pools],
            terms,
            most_legs=[terms.max_legs],
        )
        if len(legs) > 1:
            yield costs.weigh(legs)


def _may_gain(plain: Sequence[Candidate], costs: "_Costs") -> bool:
    """Whether a division can earn another leg's cost: at most it saves the price impact of the pool that has most."""
    routes = [each.route for each in plain if each.route is not None]
    if any(each.error_code == "INSUFFICIENT_LIQUIDITY" for each in plain) or len(plain) < 2:
        return len(plain) > 1  # who can't pay for all of it may pay for a part
    if not routes:
        return False
    most_base = max(route.amount_out_base + route.costs.impact_base for route in routes)
    return most_base - max(route.amount_out_base for route in routes) > costs.leg_base


def _over_hubs(
    swap: Swap, pools: Mapping[frozenset[str], Sequence[Pool]], terms: Terms, costs: "_Costs"
) -> Iterator[Candidate]:
    """In two hops, one pool each, or one of the hops divided as far as that fits; each of these that there is."""
    for hub in _hubs(swap.token_in, swap.token_out):
        hops = [(swap.token_in, hub), (hub, swap.token_out)]
        choice = [pools.get(_key(*hop), ()) for hop in hops]
        if not all(choice):
            continue
        most = terms.max_legs - 1
        ways: dict[tuple[Leg, ...], None] = {}
        refusals = []
        for most_legs in dict.fromkeys(((1, 1), (1, most), (most, 1))):
            try:
                legs = _along(hops, swap.amount_in_base, choice, terms, most_legs=most_legs)
            except Rejected as error:
                refusals.append(error)
                continue
            if len(legs) == 2 or len({leg.pool.venue for leg in legs}) <= MAX_VENUES_OVER_A_HUB:
                ways[legs] = None
        yield from map(costs.weigh, ways)
        if not ways and refusals:
            code, sentence = refusals[0].code, str(refusals[0])
            yield Candidate("+".join(_venues(choice)), error_code=code, error=sentence)


def _along(
    hops: Sequence[Pair],
    amount_base: int,
    choice: Sequence[Sequence[Pool]],
    terms: Terms,
    *,
    most_legs: Sequence[int],
) -> tuple[Leg, ...]:
    """The best legs for each hop in turn, at most so many of each. Raises `Rejected`."""
    legs: list[Leg] = []
    for hop, ((token_in, token_out), pools) in enumerate(zip(hops, choice, strict=True)):
        whole = {pool.address: pool for pool in pools}
        parts = best_split(
            [PrudentPool(pool) for pool in pools],
            token_in=token_in,
            amount_in_base=amount_base,
            leg_cost_base=terms.leg_cost_base(token_out),
            max_legs=most_legs[hop],
        )
        legs += [
            Leg(hop, whole[part.pool.address], token_in, token_out, part.fill) for part in parts
        ]
        amount_base = sum(part.fill.amount_out_base for part in parts)
    return tuple(legs)


def _venues(choice: Sequence[Sequence[Pool]]) -> dict[str, None]:
    return dict.fromkeys(pool.venue for pools in choice for pool in pools)


@dataclass(frozen=True, slots=True)
class _Costs:
    """Of a route and of each leg, in token out."""

    route_base: int
    leg_base: int

    def weigh(self, legs: tuple[Leg, ...]) -> Candidate:
        route = route_of(legs)
        cost_base = self.route_base + len(legs) * self.leg_base
        return Candidate(route.venue, route, route.amount_out_base - cost_base)


def _failure(answer: Answer) -> Candidate:
    return Candidate(
        answer.venue, error_code=answer.error_code, error=answer.error, retryable=answer.retryable
    )


def _rank(candidate: Candidate) -> tuple[int, int, tuple[str, ...]]:
    """The best net output; of equals the shorter route, then whatever does not depend on their order."""
    legs = candidate.route.legs if candidate.route else ()
    return candidate.net_out_base, -len(legs), tuple(leg.pool.address for leg in legs)


def _no_route(swap: Swap, candidates: Sequence[Candidate]) -> RoutingError:
    pair = f"{swap.token_in.symbol}/{swap.token_out.symbol}"
    if not candidates:
        return Rejected("NO_ROUTE", f"no venue has a pool for {pair}")
    reasons = "; ".join(dict.fromkeys(c.error or c.venue for c in candidates))
    if any(candidate.retryable for candidate in candidates):
        return Unavailable("NO_QUOTE", f"no venue quoted this swap ({reasons})")
    code = candidates[0].error_code or "NO_ROUTE"
    return Rejected(code, f"no venue can execute this swap ({reasons})")


def _why_lost(candidate: Candidate, winner: Candidate) -> str:
    if candidate.route is None:
        return f"no quote: {candidate.error}"
    less_base = winner.net_out_base - candidate.net_out_base
    if less_base == 0:
        return "the same net output as the chosen route's"
    hundredths = ceil_div(less_base * BPS * 100, max(abs(winner.net_out_base), 1))
    bps = f"{hundredths // 100}.{hundredths % 100:02d}"
    return f"net output {bps} bps below the chosen route's, after all fees"


def min_amount_out(amount_out_base: int, slippage_bps: int) -> int:
    """The least to accept: `amount_out_base` less the slippage limit, rounded up for the trader.

    `slippage_bps` is 0 to 10,000; anything else raises `ValueError`.
    """
    if not 0 <= slippage_bps <= BPS:
        raise ValueError("slippage_bps is between 0 and 10000")
    return ceil_div(amount_out_base * (BPS - slippage_bps), BPS)
