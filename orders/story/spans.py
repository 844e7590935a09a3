"""Where an order's time went: what it was doing from when to when, attempt by attempt."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from orders import figures
from orders.lifecycle import TERMINAL, AttemptState, Status
from orders.models import OrderAttempt, OrderEvent

WAITING = "waiting"

# Everything that time goes to, in the order of the columns: what people call it, and what happens meanwhile.
KINDS = {
    Status.PENDING.value: ("Pending", "Accepted; no worker has taken it up yet."),
    WAITING: ("Back-off", "The attempt before came to nothing; this one waits before it begins."),
    Status.ROUTING.value: ("Routing", "Asking the venues, and comparing what they offer."),
    Status.BUILDING.value: ("Building", "Making the transaction, signing it and trying it out."),
    Status.SUBMITTED.value: ("Submitted", "Sent; waiting for the chain."),
    AttemptState.IN_DOUBT.value: ("In doubt", "Sent; its outcome can’t be known yet."),
}


@dataclass(frozen=True, slots=True)
class Span:
    """`ended_at` is None of what goes on now; `until` is then the time of the page. `x` and `width` are of the bar."""

    kind: str
    began_at: datetime
    ended_at: datetime | None
    until: datetime
    from_ms: int = 0
    to_ms: int = 0
    x: str = "0%"
    width: str = "0%"

    @property
    def label(self) -> str:
        return KINDS[self.kind][0]

    @property
    def length(self) -> timedelta:
        return self.until - self.began_at

    @property
    def words(self) -> str:
        return f"{self.label.lower()} {figures.span(self.length)}"


@dataclass(frozen=True, slots=True)
class Cell:
    """All the time that an attempt spent in one way; `since` if it is still doing it, with what came before that."""

    words: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt; 0 while there is none yet. `outcome` is the attempt's state, or what the order ended as."""

    attempt: int
    spans: tuple[Span, ...]
    cells: tuple[Cell, ...]
    total: str
    since: datetime | None
    outcome: str

    @property
    def words(self) -> str:
        """The bar for those who can't see it."""
        told = ", ".join(span.words for span in self.spans) or "nothing that took time"
        return f"{told}; {self.ended_as}"

    @property
    def ended_as(self) -> str:
        return self.outcome.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Tick:
    x: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """`kinds` are the columns that any attempt has time in: (kind, label, what happens meanwhile)."""

    began_at: datetime
    is_running: bool
    bars: tuple[Bar, ...]
    kinds: tuple[tuple[str, str, str], ...]
    ticks: tuple[Tick, ...]
    total: str


def timeline(
    events: Sequence[OrderEvent], attempts: Sequence[OrderAttempt], *, now: datetime
) -> Timeline:
    """From the whole log of one order. All bars have the same scale, from the order's acceptance on."""
    began_at, last = events[0].at, events[-1]
    is_running = last.status not in TERMINAL
    ended_at = max(now, last.at) if is_running else last.at
    by_attempt = _by_attempt(_periods(events, now=ended_at))
    whole = ended_at - began_at
    placed = {
        number: [_placed(span, began_at, whole) for span in spans]
        for number, spans in by_attempt.items()
    }
    seen = {span.kind for spans in placed.values() for span in spans}
    kinds = [kind for kind in KINDS if kind in seen]
    states = {attempt.number: attempt.state for attempt in attempts}
    bars = [
        _bar(number, spans, kinds, outcome=states.get(number, last.status))
        for number, spans in sorted(placed.items())
    ]
    return Timeline(
        began_at=began_at,
        is_running=is_running,
        bars=tuple(bars),
        kinds=tuple((kind, *KINDS[kind]) for kind in kinds),
        ticks=() if is_running else _ticks(whole),
        total=figures.span(whole),
    )


def _periods(events: Sequence[OrderEvent], *, now: datetime) -> list[tuple[int, Span]]:
    """What lies between two events, and the attempt that it belongs to: the time before the first is the first's."""
    periods, is_in_doubt = [], False
    for event, following in pairwise([*events, None]):
        assert event is not None
        if "inDoubt" in event.details:
            is_in_doubt = event.details["inDoubt"] is not None
        if event.status in TERMINAL:
            break
        if event.status != Status.SUBMITTED:
            is_in_doubt = False
        kind = AttemptState.IN_DOUBT.value if is_in_doubt else event.status
        ended_at = following.at if following else None
        whole = Span(kind, event.at, ended_at, ended_at or now)
        periods += [(max(event.attempt, 1), span) for span in _without_back_off(whole, event)]
    return periods


def _without_back_off(span: Span, event: OrderEvent) -> list[Span]:
    """An event that opens another attempt says how long that waits first; a cancel may end the wait."""
    wait = timedelta(seconds=event.details.get("nextAttemptInS", 0))
    if not wait:
        return [span]
    begins_at = span.began_at + wait
    if begins_at >= span.until:
        return [replace(span, kind=WAITING)]
    waited = Span(WAITING, span.began_at, begins_at, begins_at)
    return [waited, replace(span, began_at=begins_at)]


def _by_attempt(periods: Sequence[tuple[int, Span]]) -> dict[int, list[Span]]:
    """Each attempt's spans; an event that changed no more than what is known, a cancel request say, parts nothing."""
    found: defaultdict[int, list[Span]] = defaultdict(list)
    for attempt, span in periods:
        spans = found[attempt]
        if spans and spans[-1].kind == span.kind:
            spans[-1] = replace(spans[-1], ended_at=span.ended_at, until=span.until)
        else:
            spans.append(span)
    return found


def _placed(span: Span, began_at: datetime, whole: timedelta) -> Span:
    start, end = span.began_at - began_at, span.until - began_at
    return replace(
        span,
        from_ms=start // timedelta(milliseconds=1),
        to_ms=end // timedelta(milliseconds=1),
        x=_percent(start, whole),
        width=_percent(end - start, whole),
    )


def _percent(part: timedelta, whole: timedelta) -> str:
    return f"{100 * part / whole:.3f}%" if whole else "0%"


def _bar(number: int, spans: Sequence[Span], kinds: Sequence[str], *, outcome: str) -> Bar:
    running = spans[-1].ended_at is None
    whole = sum((span.length for span in spans), timedelta())
    return Bar(
        attempt=number,
        spans=tuple(spans),
        cells=tuple(_cell([span for span in spans if span.kind == kind]) for kind in kinds),
        total=figures.span(whole),
        since=spans[0].began_at if running else None,
        outcome=outcome,
    )


def _cell(spans: Sequence[Span]) -> Cell:
    if not spans:
        return Cell()
    length = sum((span.length for span in spans), timedelta())
    running = spans[-1].ended_at is None
    return Cell(figures.span(length), spans[-1].until - length if running else None)


def _ticks(whole: timedelta) -> tuple[Tick, ...]:
    """A handful of round times, the end among them."""
    steps_s = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600, 6 * 3600, 86_400)
    whole_s = whole.total_seconds()
    if not whole_s:
        return ()
    step_s = next((step for step in steps_s if whole_s / step <= 6), whole_s / 4)
    # The last is the end itself; one that stands just before it would be written over.
    times = [step_s * nth for nth in range(int(whole_s / step_s) + 1)]
    times = [at for at in times if at < 0.88 * whole_s]
    ticks = [
        Tick(f"{100 * at / whole_s:.3f}%", _tick(at), "middle" if at else "start") for at in times
    ]
    return (*ticks, Tick("100%", figures.span(whole), "end"))


def _tick(at_s: float) -> str:
    return f"{at_s:g} s" if at_s < 60 else figures.span(timedelta(seconds=at_s))
