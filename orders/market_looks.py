"""What there is to see of the simulated market: a pair's prices slot by slot, and what orders of all sizes would pay.

Pools are asked for their states as a venue asks them, and an order goes where `decide` sends it. Nobody has swapped
in this market, so seed and slot alone decide what is seen. What it refuses: to need a database, and to show anything.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final

from django.conf import settings

from orders.exchange import terms_of
from orders.quoting import label_of
from routing.answers import Answer
from routing.market import PICO_USD, Market
from routing.pool import PRICE_ONE, Pool
from routing.registry import open_venues
from routing.rounding import BPS
from routing.route import Route
from routing.router import Decision, Undecided, decide, pairs_of
from routing.tokens import to_base
from routing.venue import Pair, Reading, Swap

SIZES: Final = 96
SMALLEST_USD: Final = Decimal(10)
LARGEST_USD: Final = Decimal(5_000_000)

_THREE_DIGITS: Final = Context(prec=3)
# So much of one token that its price in base units of another has digits enough.
_MUCH_BASE: Final = 10**18


@dataclass(frozen=True, slots=True)
class Look:
    """The prices of one slot: of the pair's first token, in its second. `pools` has a price for each label.

    `venues` has the venue of each of them.
    """

    slot: int
    reference: Decimal
    pools: tuple[Decimal, ...]
    venues: tuple[str, ...]

    @property
    def bands(self) -> dict[str, tuple[Decimal, Decimal]]:
        """The lowest and the highest price of each venue's pools."""
        prices: dict[str, list[Decimal]] = {}
        for venue, price in zip(self.venues, self.pools, strict=True):
            prices.setdefault(venue, []).append(price)
        return {venue: (min(found), max(found)) for venue, found in prices.items()}

    @property
    def distances_bps(self) -> list[Decimal]:
        """How far each pool is from the reference."""
        return [(price / self.reference - 1) * BPS for price in self.pools]

    @property
    def spread_bps(self) -> Decimal:
        """How much dearer the dearest pool is than the cheapest."""
        return (max(self.pools) / min(self.pools) - 1) * BPS


@dataclass(frozen=True, slots=True)
class Size:
    """An order for `amount` whole tokens, worth `dollars`, and where it would go.

    `decision` is None where no pools take it, alone or together; `refusal` is then the error's code.
    """

    amount: Decimal
    dollars: Decimal
    decision: Decision | None = None
    refusal: str | None = None

    @property
    def single(self) -> Route | None:
        """The best way through one pool, or one pool a hop, if there is any."""
        if self.decision is None or not self.decision.plain.is_plain:
            return None
        return self.decision.plain

    @property
    def chosen(self) -> Route | None:
        """The route that wins."""
        return self.decision.route if self.decision else None

    def through(self, address: str) -> Route | None:
        """The way through this pool alone, if it takes the order."""
        candidates = self.decision.candidates if self.decision else ()
        alone = (c.route for c in candidates if c.route and len(c.route.legs) == 1)
        return next((route for route in alone if route.legs[0].pool.address == address), None)

    def out_per_token(self, route: Route) -> Decimal:
        """What the route pays for each whole token, in whole tokens."""
        token_out = route.legs[-1].token_out
        return Decimal(route.amount_out_base).scaleb(-token_out.decimals) / self.amount

    def cost_bps(self, route: Route) -> Decimal:
        """By how much the route pays less than the order is worth on the market: below 0 where it pays more."""
        assert self.decision is not None
        return (1 - Decimal(route.amount_out_base) / self.decision.reference_base) * BPS

    @property
    def improvement_bps(self) -> Decimal | None:
        """What the chosen route pays more than the best single one, of the order's worth."""
        if self.single is None or self.chosen is None:
            return None
        return self.cost_bps(self.single) - self.cost_bps(self.chosen)


class Window:
    """The market of a seed, looked at from outside. Safe to share between threads."""

    def __init__(self, *, seed: int) -> None:
        self._market = Market(seed=seed)
        self._feed = _Feed()
        self._venues = open_venues(self._market, self._feed, slot_ms=settings.MOCK_SLOT_MS)

    def pools(self, pair: Pair) -> Mapping[str, str]:
        """The pair's pools: a label for each, by address."""
        answers = asyncio.run(self._answers([pair], 0))
        found = (pool for answer in answers for pool in answer.pools)
        return {pool.address: label_of_pool(pool) for pool in found}

    def looks(self, pair: Pair, slots: Sequence[int]) -> list[Look]:
        """The prices of a pair in each of the slots. Where no pool trades it, there is only the reference."""

        async def look_at_all() -> list[Look]:
            return [self._look(pair, slot, await self._answers([pair], slot)) for slot in slots]

        return asyncio.run(look_at_all())

    def sizes(self, pair: Pair, *, slot: int) -> list[Size]:
        """Orders for the pair's first token, from `SMALLEST_USD` to `LARGEST_USD`, each so much larger than the last.

        Amounts have three digits.
        """
        answers = asyncio.run(self._answers(pairs_of(Swap(*pair, 0)), slot))
        whole_usd = Decimal(self._market.price_pico_usd(pair[0], slot)) / PICO_USD
        growth = LARGEST_USD / SMALLEST_USD
        amounts = (
            _THREE_DIGITS.divide(SMALLEST_USD * growth ** (Decimal(n) / (SIZES - 1)), whole_usd)
            for n in range(SIZES)
        )
        return [self._size(pair, amount, amount * whole_usd, answers) for amount in amounts]

    def _look(self, pair: Pair, slot: int, answers: Sequence[Answer]) -> Look:
        base, quote = pair
        whole = Decimal(10) ** (base.decimals - quote.decimals)
        pools = [pool for answer in answers for pool in answer.pools]
        return Look(
            slot=slot,
            reference=whole * self._market.reference_price(base, quote, slot=slot) / PRICE_ONE,
            pools=tuple(whole * pool.at_mid(base, _MUCH_BASE) / _MUCH_BASE for pool in pools),
            venues=tuple(pool.venue for pool in pools),
        )

    def _size(
        self, pair: Pair, amount: Decimal, dollars: Decimal, answers: Sequence[Answer]
    ) -> Size:
        swap = Swap(*pair, to_base(amount, pair[0]))
        try:
            decision = decide(
                swap, answers, terms_of(pairs_of(swap), answers, self._market.reference_prices)
            )
        except Undecided as undecided:
            return Size(amount, dollars, refusal=undecided.error.code)
        return Size(amount, dollars, decision)

    async def _answers(self, pairs: Sequence[Pair], slot: int) -> list[Answer]:
        """What the venues answer in this slot: at once, and always."""
        self._feed.slot = slot
        return [Answer(name, await venue.pools(pairs)) for name, venue in self._venues.items()]


def label_of_pool(pool: Pool) -> str:
    """What to call it in a table or a picture, where its venue's name alone would not tell it apart."""
    return f"{label_of(pool.venue)} {pool.address[:4]}"


class _Feed(threading.local):
    """A feed of one slot, another one in each thread, in which nobody has swapped."""

    slot = 0

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        return Reading(self.slot, {})
