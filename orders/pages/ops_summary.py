"""What the operations page says first: what needs somebody, in sentences, or that nothing does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orders.operations import Concerns, Queue
from orders.pages.panels import Answered
from orders.templatetags.figures import grouped, length
from orders.venue_report import VenueReport

# A hint wakes a worker at once, and what it misses the sweep finds a second or two later.
LONG_DUE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the sentences rest on. `redis` and `workers` are None where nobody knows yet, or no worker can be asked."""

    in_doubt: Answered[Concerns]
    failed: Answered[Concerns]
    queue: Answered[Queue]
    venues: Answered[dict[str, VenueReport]]
    redis: bool | None
    workers: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Summary:
    """`tone` is the worst of what the sentences tell: good, warn or bad."""

    tone: str
    sentences: tuple[str, ...]


def summary(seen: Seen) -> Summary:
    bad, warn = tuple(_bad(seen)), tuple(_warn(seen))
    if bad or warn:
        return Summary("bad" if bad else "warn", (*bad, *warn))
    return Summary(
        "good",
        ("Nothing needs you: no order is in doubt, none failed in the last 24 hours, none waits.",),
    )


def _bad(seen: Seen) -> Iterator[str]:
    if doubts := _count(seen.in_doubt):
        verb = "is" if seen.in_doubt.answer and seen.in_doubt.answer.count == 1 else "are"
        yield f"{doubts} {verb} in doubt: look at the chain, and end the doubt in the console."
    if seen.workers == ():
        yield "No worker answers: orders are accepted, and wait."
    oldest = seen.queue.answer.oldest if seen.queue.answer else None
    if oldest and oldest.due_for_s >= LONG_DUE_S:
        yield f"Orders wait for a worker: the oldest has been due for {length(oldest.due_for_s)}."


def _warn(seen: Seen) -> Iterator[str]:
    if failures := _count(seen.failed):
        yield f"{failures} failed in the last 24 hours."
    for label, report in (seen.venues.answer or {}).items():
        if report.set_aside_until:
            yield f"{label} is set aside: orders go elsewhere until it answers again."
    if seen.redis is False:
        yield "Redis does not answer: orders go on, a second or two later each."
    if any(each.trouble for each in (seen.in_doubt, seen.failed, seen.queue, seen.venues)):
        yield "Some of this could not be read."


def _count(concerns: Answered[Concerns]) -> str:
    """`1 order`, `3 orders`; empty if there are none."""
    answer = concerns.answer
    if answer is None or not answer.count:
        return ""
    least = "at least " if answer.is_cut else ""
    return f"{least}{grouped(answer.count)} order{'s' if answer.count > 1 else ''}".capitalize()
