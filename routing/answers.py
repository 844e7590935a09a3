"""What venues answer when they are asked for their pools: all at once, under one deadline."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from routing.errors import RoutingError
from routing.pool import Pool
from routing.venue import Pair, Venue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """The state of a venue's pools, or an error with its code, its sentence and whether to try again.

    `took_ms` is how long it took; a decision is the same without.
    """

    venue: str
    pools: tuple[Pool, ...] = ()
    error_code: str | None = None
    error: str | None = None
    retryable: bool = False
    took_ms: int = field(default=0, compare=False)


async def collect(
    venues: Iterable[Venue], pairs: Iterable[tuple[Pair, ...]], *, deadline_s: float
) -> dict[tuple[Pair, ...], tuple[Answer, ...]]:
    """Ask all venues at once for the pools of each group of pairs; one answer per venue, in their order.

    A venue that is late or fails is an answer without pools; it never raises for one. Whatever is still running at the
    deadline, or when the caller is cancelled, is cancelled and awaited.
    """
    venues = tuple(venues)
    groups = tuple(dict.fromkeys(pairs))
    asked = [asyncio.create_task(_timed(venue, group)) for group in groups for venue in venues]
    try:
        if asked:
            await asyncio.wait(asked, timeout=deadline_s)
        in_time = [task.done() for task in asked]
    finally:
        for task in asked:
            if not task.done():
                task.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
    answers = iter(
        _answer(venue, result if on_time else None, deadline_s)
        for venue, result, on_time in zip(venues * len(groups), found, in_time, strict=True)
    )
    return {group: tuple(next(answers) for _ in venues) for group in groups}


async def _timed(venue: Venue, pairs: Sequence[Pair]) -> Answer:
    started = time.perf_counter()
    try:
        pools = await venue.pools(pairs)
    except RoutingError as error:
        answer = Answer(
            venue.name, error_code=error.code, error=str(error), retryable=error.retryable
        )
    else:
        answer = Answer(venue.name, pools)
    return replace(answer, took_ms=round((time.perf_counter() - started) * 1_000))


def _answer(venue: Venue, result: Answer | BaseException | None, deadline_s: float) -> Answer:
    match result:
        case Answer():
            return result
        case None:
            sentence = f"{venue.label} did not answer within {deadline_s:g} s"
            return Answer(
                venue.name,
                error_code="QUOTE_TIMEOUT",
                error=sentence,
                retryable=True,
                took_ms=round(deadline_s * 1_000),
            )
        case _:
            # A venue's client failed in a way it did not foresee; the others still count.
            logger.error("quote failed", extra={"venue": venue.name}, exc_info=result)
            sentence = f"{venue.label} failed to quote ({type(result).__name__})"
            return Answer(venue.name, error_code="QUOTE_FAILED", error=sentence, retryable=True)
