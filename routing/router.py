"""Which venue executes a swap: every quote under one deadline, then the best net output.

`collect_quotes` waits, `choose` decides; the decision is pure, so it can be replayed from what was quoted.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from routing.amm import BPS, ceil_div
from routing.errors import Rejected, RoutingError, Unavailable
from routing.venue import Quote, Swap, Venue

logger = logging.getLogger(__name__)

TIE_BPS: Final = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One venue's answer: a quote, or an error with its code, its sentence and whether to try again.

    `lost_because` is a sentence, set by `choose` on everyone but the winner.
    """

    venue: str
    quote: Quote | None = None
    error_code: str | None = None
    error: str | None = None
    lost_because: str | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """The decision: the winning quote, and every candidate in the venues' order."""

    winner: Quote
    candidates: tuple[Candidate, ...]


async def collect_quotes(
    venues: Iterable[Venue], swap: Swap, *, deadline_s: float
) -> tuple[Candidate, ...]:
    """Ask all venues at once, and return one candidate per venue, in their order, by the deadline.

    A venue that is late or fails is a candidate without a quote; it never raises for one. Whatever is
    still running at the deadline, or when the caller is cancelled, is cancelled and awaited.
    """
    (candidates,) = await collect_all_quotes(venues, [swap], deadline_s=deadline_s)
    return candidates


async def collect_all_quotes(
    venues: Iterable[Venue], swaps: Sequence[Swap], *, deadline_s: float
) -> list[tuple[Candidate, ...]]:
    """The same for several swaps at once, under one deadline; answers in their order."""
    venues = tuple(venues)
    asked = [asyncio.create_task(venue.quote(swap)) for swap in swaps for venue in venues]
    try:
        if asked:
            await asyncio.wait(asked, timeout=deadline_s)
        in_time = [task.done() for task in asked]
    finally:
        for task in asked:
            if not task.done():
                task.cancel()
        answers = await asyncio.gather(*asked, return_exceptions=True)
    candidates = (
        _candidate(venue.label, venue.name, answer if on_time else None, deadline_s)
        for venue, answer, on_time in zip(venues * len(swaps), answers, in_time, strict=True)
    )
    return [tuple(islice(candidates, len(venues))) for _ in swaps]


def _candidate(
    label: str, venue: str, answer: Quote | BaseException | None, deadline_s: float
) -> Candidate:
    match answer:
        case Quote():
            return Candidate(venue, quote=answer)
        case RoutingError():
            return Candidate(
                venue, error_code=answer.code, error=str(answer), retryable=answer.retryable
            )
        case None:
            sentence = f"{label} did not answer within {deadline_s:g} s"
            return Candidate(venue, error_code="QUOTE_TIMEOUT", error=sentence, retryable=True)
        case _:
            # A venue's client failed in a way it did not foresee; the others still count.
            logger.error("quote failed", extra={"venue": venue}, exc_info=answer)
            sentence = f"{label} failed to quote ({type(answer).__name__})"
            return Candidate(venue, error_code="QUOTE_FAILED", error=sentence, retryable=True)


def choose(candidates: Sequence[Candidate], *, tie_bps: int = TIE_BPS) -> Route:
    """The best net output wins; of those within `tie_bps` of it, the deeper pool does.

    Pure: the same candidates give the same route, in whatever order they come. Raises `Unavailable`
    (`NO_QUOTE`) when nobody quoted and somebody might, `Rejected` when everybody's answer is final:
    `NO_ROUTE` if nobody has a pool, else the code of the venue that has one.
    """
    quotes = [candidate.quote for candidate in candidates if candidate.quote is not None]
    if not quotes:
        raise _no_quote(candidates)
    best = max(quotes, key=lambda quote: (quote.net_out_base, quote.depth_base, quote.venue))
    ties = [
        quote for quote in quotes if _shortfall(quote, best) <= abs(best.net_out_base) * tie_bps
    ]
    winner = max(ties, key=lambda quote: (quote.depth_base, quote.net_out_base, quote.venue))
    return Route(
        winner,
        tuple(
            candidate
            if candidate.quote is winner
            else replace(candidate, lost_because=_why_lost(candidate, winner, tie_bps))
            for candidate in candidates
        ),
    )


def _shortfall(quote: Quote, best: Quote) -> int:
    """What the quote pays less than the best, in base units times 10**4."""
    return (best.net_out_base - quote.net_out_base) * BPS


def _no_quote(candidates: Sequence[Candidate]) -> RoutingError:
    if not candidates:
        return Rejected("NO_ROUTE", "there is no venue to ask")
    reasons = "; ".join(c.error or c.venue for c in candidates)
    if any(candidate.retryable for candidate in candidates):
        return Unavailable("NO_QUOTE", f"no venue quoted this swap ({reasons})")
    final = [c.error_code for c in candidates if c.error_code not in (None, "NO_POOL")]
    if final and final[0]:
        return Rejected(final[0], f"no venue can execute this swap ({reasons})")
    return Rejected("NO_ROUTE", f"no venue has a pool for this pair ({reasons})")


def _why_lost(candidate: Candidate, winner: Quote, tie_bps: int) -> str:
    quote = candidate.quote
    if quote is None:
        return f"no quote: {candidate.error}"
    less_base = winner.net_out_base - quote.net_out_base
    if _shortfall(quote, winner) <= abs(winner.net_out_base) * tie_bps and (
        quote.depth_base < winner.depth_base
    ):
        return f"net output within {tie_bps} bps of {winner.venue}, whose pool is deeper"
    hundredths = ceil_div(less_base * BPS * 100, max(abs(winner.net_out_base), 1))
    bps = f"{hundredths // 100}.{hundredths % 100:02d}"
    return f"net output {bps} bps below {winner.venue}, after the pool's and the network's fees"


def min_amount_out(amount_out_base: int, slippage_bps: int) -> int:
    """The least to accept: `amount_out_base` less the slippage limit, rounded up for the trader.

    `slippage_bps` is 0 to 10,000; anything else raises `ValueError`.
    """
    if not 0 <= slippage_bps <= BPS:
        raise ValueError("slippage_bps is between 0 and 10000")
    return ceil_div(amount_out_base * (BPS - slippage_bps), BPS)
