"""What venues answer when they are asked for their pools: all at once, under one deadline."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from routing.errors import RoutingError
from routing.pool import Pool
from routing.venue import Pair, Venue

logger = logging.getLogger(__name__)

Asked = asyncio.Task[tuple[Pool, ...]]
"""One venue, while it looks for its pools of one group of pairs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The state of a venue's pools, or an error with its code, its sentence and whether to try again.

    `took_ms` is how long it took, or was waited for; None of a venue that was not asked. It is a measurement, and no
    part of what was answered.
    """

    venue: str
    pools: tuple[Pool, ...] = ()
    error_code: str | None = None
    error: str | None = None
    retryable: bool = False
    took_ms: int | None = field(default=None, compare=False)

    @property
    def is_failure(self) -> bool:
        """The venue could not answer. A final answer is none, nor is one without pools: it does what it should."""
        return self.error_code is not None and self.retryable


async def collect(
    venues: Iterable[Venue], pairs: Iterable[tuple[Pair, ...]], *, deadline_s: float
) -> dict[tuple[Pair, ...], tuple[Answer, ...]]:
    """Ask all venues at once for the pools of each group of pairs; one answer per venue, in their order.

    A venue that is late or fails is an answer without pools; it never raises for one. Whatever is still running at the
    deadline, or when the caller is cancelled, is cancelled and awaited.
    """
    venues = tuple(venues)
    groups = tuple(dict.fromkeys(pairs))
    asked = [asyncio.create_task(venue.pools(group)) for group in groups for venue in venues]
    took_ms = _stopwatch(asked)
    try:
        if asked:
            await asyncio.wait(asked, timeout=deadline_s)
        in_time = dict(took_ms)
    finally:
        for task in asked:
            if not task.done():
                task.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
    answers = (
        replace(_answer(venue, result), took_ms=in_time[task])
        if task in in_time
        else _no_answer(venue, deadline_s)
        for venue, task, result in zip(venues * len(groups), asked, found, strict=True)
    )
    return {group: tuple(islice(answers, len(venues))) for group in groups}


def _stopwatch(asked: Iterable[Asked]) -> Mapping[Asked, int]:
    """How long each takes from now, in milliseconds of the loop's clock: filled in as they end."""
    now = asyncio.get_running_loop().time
    began, took_ms = now(), dict[Asked, int]()

    def ended(task: Asked) -> None:
        took_ms[task] = round((now() - began) * 1_000)

    for task in asked:
        task.add_done_callback(ended)
    return took_ms


def _answer(venue: Venue, result: tuple[Pool, ...] | BaseException) -> Answer:
    match result:
        case tuple():
            return Answer(venue.name, result)
        case RoutingError():
            return Answer(
                venue.name,
                error_code=result.code,
                error=str(result),
                retryable=result.retryable,
            )
        case _:
            # A venue's client failed in a way it did not foresee; the others still count.
            logger.error("quote failed", extra={"venue": venue.name}, exc_info=result)
            sentence = f"{venue.label} failed to quote ({type(result).__name__})"
            return Answer(venue.name, error_code="QUOTE_FAILED", error=sentence, retryable=True)


def _no_answer(venue: Venue, deadline_s: float) -> Answer:
    return Answer(
        venue.name,
        error_code="QUOTE_TIMEOUT",
        error=f"{venue.label} did not answer within {deadline_s:g} s",
        retryable=True,
        took_ms=round(deadline_s * 1_000),
    )
