"""A plain sentence for every way that an order can stand and end, and what is worth watching meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

from orders import figures
from orders.lifecycle import Status
from orders.models import Order, OrderAttempt, OrderEvent
from orders.quoting import label_of
from orders.retries import MAX_ATTEMPTS
from orders.settlement import ASK_AGAIN_S
from orders.story.money import cost_of
from orders.story.reasons import LATER, reason_for, reason_of
from orders.stream import executed_price
from routing.tokens import TOKENS

# An order that is due for longer than this has nobody who works on it.
LEFT_ALONE = timedelta(seconds=3)
ASK_AGAIN = timedelta(seconds=ASK_AGAIN_S)


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that counts: up since an instant, or down until one; what comes again has `every_s`."""

    label: str
    since: datetime | None = None
    until: datetime | None = None
    every_s: float | None = None
    shown: str = ""
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`tone` is good, bad, warn or busy. `sentence` counts nothing that runs: `timers` do."""

    tone: str
    sentence: str
    timers: tuple[Timer, ...] = ()


def outcome(
    order: Order, attempts: Sequence[OrderAttempt], events: Sequence[OrderEvent], *, now: datetime
) -> Outcome:
    """How the order stands, or how it ended."""
    attempt = attempts[-1] if attempts else None
    match Status(order.status):
        case Status.CONFIRMED:
            return Outcome("good", _confirmed(order, attempt, events))
        case Status.FAILED:
            return Outcome("bad", _failed(order, attempts, events))
        case Status.CANCELLED:
            return Outcome("neutral", _cancelled(order, attempts, events))
        case Status.SUBMITTED if attempt is not None:
            return _submitted(order, attempt, events, now=now)
        case Status.ROUTING if backs_off(order, events, now=now):
            return _backing_off(order, attempts, now=now)
    return _on_its_way(order, attempts, now=now)


# --- How it ended -----------------------------------------------------------------------------------------------------


def _confirmed(
    order: Order,
    attempt: OrderAttempt | None,
    events: Sequence[OrderEvent],
) -> str:
    received_base = int(order.amount_out_base or 0)
    sold = figures.amount(order.amount_in_base, order.token_in)
    got = figures.rough_amount(received_base, order.token_out)
    where = f" on {label_of(order.selected_dex)}" if order.selected_dex else ""
    first = f"Sold {sold} for {got}{where} in {_took(order, events)}{_at(order, received_base)}"
    beside = [told for told in (_improvement(order, attempt), _above(order)) if told]
    sentences = [f"{first}{'; ' if beside else ''}{', '.join(beside)}."]
    if order.attempt > 1:
        sentences.append(f"It took {_count(order.attempt, 'attempt')}.")
    if order.cancel_requested_at:
        sentences.append("It was asked to be cancelled, but had landed: the swap won.")
    if resolution := _resolution(events):
        sentences.append(
            f"{_names(resolution)} confirmed it by hand, because the chain could not: {resolution['reason']}"
        )
    return " ".join(sentences)


def _took(order: Order, events: Sequence[OrderEvent]) -> str:
    length = figures.span(events[-1].at - order.created_at)
    return "no time" if length == "at once" else length


def _at(order: Order, received_base: int) -> str:
    token_in, token_out = TOKENS.get(order.token_in), TOKENS.get(order.token_out)
    if token_in is None or token_out is None:
        return ""
    exact = executed_price(token_in, int(order.amount_in_base), token_out, received_base)
    return f", at {figures.price(exact)} {token_out.symbol} per {token_in.symbol}"


def _improvement(order: Order, attempt: OrderAttempt | None) -> str:
    """Why this way and no other."""
    if attempt is None or attempt.receipt is None or order.token_out not in TOKENS:
        return ""
    cost = cost_of(order, attempt)
    single_base = figures.base(attempt.receipt["bestSingle"]["amountOut"], order.token_out)
    if cost is not None and cost.improvement_base > 0:
        return (
            f"{figures.share(cost.improvement_base, single_base)} better than the best single pool"
        )
    ways = sum("netAmountOut" in quote for quote in attempt.quotes)
    return f"the best of {ways} ways that were compared" if ways > 1 else ""


def _above(order: Order) -> str:
    if order.min_amount_out_base is None or order.amount_out_base is None:
        return ""
    above_base = order.amount_out_base - order.min_amount_out_base
    if above_base == 0:
        return "exactly the minimum"
    return f"{figures.rough_amount(above_base, order.token_out)} above the minimum"


def _failed(
    order: Order,
    attempts: Sequence[OrderAttempt],
    events: Sequence[OrderEvent],
) -> str:
    took = _took(order, events)
    if resolution := _resolution(events):
        return (
            f"Ended by {_names(resolution)} as a swap that never landed, because the chain could not tell: "
            f"{resolution['reason']} Nothing was swapped; it can be placed again."
        )
    why = reason_for(order.error_code, order.error_message, _quotes(attempts)).words
    after = f" after {_count(len(attempts), 'attempt')}" if len(attempts) > 1 else ""
    return f"Failed{after} in {took}: {why}. {_nothing_swapped(attempts)} {_advice(order)}"


def _quotes(attempts: Sequence[OrderAttempt]) -> Sequence[Mapping[str, Any]]:
    return attempts[-1].quotes if attempts else ()


def _nothing_swapped(attempts: Sequence[OrderAttempt]) -> str:
    landed = [a for a in attempts if (a.proof or {}).get("kind") == "landed with an error"]
    if landed:
        return f"Nothing was swapped; only the network’s fee of {_count(len(landed), 'transaction')} was paid."
    return "Nothing was swapped."


def _advice(order: Order) -> str:
    advice = reason_for(order.error_code, order.error_message).advice
    if order.error_retryable:
        return advice or LATER
    return "The same order would fail again." + (f" {advice}" if advice not in ("", LATER) else "")


def _cancelled(
    order: Order,
    attempts: Sequence[OrderAttempt],
    events: Sequence[OrderEvent],
) -> str:
    took = _took(order, events)
    if resolution := _resolution(events):
        return (
            f"Cancelled: {_names(resolution)} ended it as a swap that never landed. {resolution['reason']} "
            "Nothing was swapped."
        )
    by, why_asked = _who_cancelled(events)
    if not order.cancel_requested_at:
        return (
            f"Cancelled{by} {took} after it was placed, before anything was sent{why_asked}. "
            "Nothing was swapped."
        )
    last = attempts[-1] if attempts else None
    why = reason_of(last).words if last else ""
    because = f": {why}" if why else ""
    return (
        f"Cancelled as asked{by}, in {took}{why_asked}. A transaction had been sent, but it came to nothing{because}. "
        f"{_nothing_swapped(attempts)}"
    )


# --- How it stands ----------------------------------------------------------------------------------------------------


def _submitted(
    order: Order, attempt: OrderAttempt, events: Sequence[OrderEvent], *, now: datetime
) -> Outcome:
    name = figures.short(attempt.signature or "")
    limit = f"block height {attempt.last_valid_block_height:,}"
    sent = _up("Sent", attempt.sent_at or order.updated_at, now, tail="ago")
    asked_to_cancel = (
        f" A cancel was asked for after it was sent, so the chain decides: if it lands by {limit}, the swap "
        "stays; else the order is cancelled."
    )
    if order.in_doubt_since is None:
        sentence = (
            f"Sent as {name}; the chain has not answered yet. It may still land until {limit}."
        )
        if order.cancel_requested_at:
            sentence = f"Sent as {name}; the chain has not answered yet.{asked_to_cancel}"
        return Outcome("busy", sentence, (sent,))
    doubt = next(event for event in reversed(events) if event.details.get("inDoubt"))
    next_at = parse_datetime(doubt.details["inDoubt"]["nextCheckAt"]) or now
    if next_at < now:  # the event tells the first look; they go on at the same pace
        next_at += ((now - next_at) // ASK_AGAIN + 1) * ASK_AGAIN
    left = figures.span(next_at - now)
    timers = (
        _up("In doubt for", order.in_doubt_since, now),
        Timer("Next look in", until=next_at, every_s=ASK_AGAIN_S, shown=left),
        sent,
    )
    sentence = (
        f"{doubt.message} {name} was sent, and either landed or never will; until the chain tells which, "
        f"nothing else is sent for this order.{asked_to_cancel if order.cancel_requested_at else ''}"
    )
    return Outcome("warn", sentence, timers)


def backs_off(order: Order, events: Sequence[OrderEvent], *, now: datetime) -> bool:
    """Whether its current attempt has not begun yet."""
    if order.is_final:
        return False
    wait_s = events[-1].details.get("nextAttemptInS", 0)
    return bool(now < events[-1].at + timedelta(seconds=wait_s))


def _backing_off(order: Order, attempts: Sequence[OrderAttempt], *, now: datetime) -> Outcome:
    sentence = (
        f"{_came_to_nothing(attempts)} Attempt {order.attempt} of at most {MAX_ATTEMPTS} follows."
    )
    due_at = order.due_at or now
    timer = Timer("Begins in", until=due_at, shown=figures.span(due_at - now))
    return Outcome("warn", sentence, (timer,))


def _came_to_nothing(attempts: Sequence[OrderAttempt]) -> str:
    before = attempts[-2] if len(attempts) > 1 else None
    if before is None:
        return ""
    why = reason_of(before).words
    sent = "" if before.signature else "; nothing was sent"
    return f"Attempt {before.number} came to nothing: {why}{sent}."


def _on_its_way(order: Order, attempts: Sequence[OrderAttempt], *, now: datetime) -> Outcome:
    placed = _up("Placed", order.created_at, now, tail="ago")
    late_by = now - (order.due_at or now)
    doing = {
        Status.PENDING: "Accepted and stored; a worker takes it up next.",
        Status.ROUTING: "Asking the venues, and comparing what they offer.",
        Status.BUILDING: _building(order, attempts),
    }[Status(order.status)]
    if order.attempt > 1:
        doing = f"Attempt {order.attempt} of at most {MAX_ATTEMPTS}. {doing} {_came_to_nothing(attempts)}"
    if late_by > LEFT_ALONE:
        alone = "Nobody works on it now: the next free worker takes it up, from where it is. Nothing was sent."
        since = _up("Left alone for", order.due_at or now, now)
        return Outcome("warn", f"{doing} {alone}", (since, placed))
    return Outcome("busy", doing, (placed,))


def _building(order: Order, attempts: Sequence[OrderAttempt]) -> str:
    offer = (attempts[-1].receipt or {}).get("amountOut") if attempts else None
    label = label_of(order.selected_dex) if order.selected_dex else "A venue"
    verb = "offer" if "+" in order.selected_dex else "offers"
    worth = f", which {verb} {figures.grouped(offer)} {order.token_out}" if offer else ""
    return f"Chose {label}{worth}. Making the transaction; nothing was sent yet."


def _up(label: str, since: datetime, now: datetime, *, tail: str = "") -> Timer:
    return Timer(label, since=since, shown=figures.span(now - since), tail=tail)


def _resolution(events: Sequence[OrderEvent]) -> dict[str, Any] | None:
    """Who ended it by hand, if somebody did."""
    resolution: dict[str, Any] | None = events[-1].details.get("resolution")
    return resolution


def _names(resolution: Mapping[str, Any]) -> str:
    """Who proposed it, and who confirmed it."""
    return " and ".join(filter(None, (resolution["by"], resolution.get("confirmedBy"))))


def _who_cancelled(events: Sequence[OrderEvent]) -> tuple[str, str]:
    """An operator's name and reason; nothing where the account's own client asked."""
    told = (event.details.get("cancellation") for event in events)
    operator = next((each for each in told if each), None)
    if operator is None:
        return "", ""
    return f" by {operator['by']}", f" ({operator['reason'].rstrip('.')})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
