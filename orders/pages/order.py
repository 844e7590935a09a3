"""The page of one order, while it runs and ever after."""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from orders import figures
from orders.api.presentation import history_as_json
from orders.models import Account, Order, OrderAttempt, OrderEvent
from orders.pages.errors import page_of
from orders.people import account_of_person
from orders.story.attempts import attempt_story
from orders.story.outcome import backs_off, outcome
from orders.story.spans import timeline
from routing.tokens import TOKENS, from_base

VIEW = "orders.view_order"
# An order moves a dozen times in its life, and the three queries take a millisecond.
TRIES = 5


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A line of the log. `details` are what only some events carry, as text."""

    seq: int
    at: datetime
    clock: str
    elapsed: str
    status: str
    attempt: int
    message: str
    details: str


@dataclass(frozen=True, slots=True)
class History:
    """An order with its attempts and its events, each in their order."""

    order: Order
    attempts: list[OrderAttempt]
    events: list[OrderEvent]


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, order_id: str) -> HttpResponse:
    """For members of the order's account, and whoever may view any order."""
    account = account_of_person(request.user)
    found = _history(order_id, request.user, account)
    if found is None:
        sentence = "There is no such order, or it is not one of your account’s."
        return page_of(404, sentence, request=request)
    if str(found.order.id) != order_id:
        return redirect("order", order_id=found.order.id)
    return render(request, "pages/order.html", _context(request, found, account))


def _history(order_id: str, user: User | AnonymousUser, account: Account | None) -> History | None:
    """All that is known of the order, from one moment; None if this person may not see it."""
    try:
        wanted = Order.objects.select_related("account").filter(id=UUID(order_id))
    except ValueError:
        return None
    if not may_view_all(user):
        wanted = wanted.filter(account=account) if account else wanted.none()
    found = None
    for _ in range(TRIES):
        order = wanted.order_by("id").first()
        if order is None:
            return None
        attempts = order.attempts.defer("signed_bytes").order_by("number")
        found = History(order, list(attempts), list(order.events.order_by("seq")))
        # Whatever changes an order or an attempt leaves an event: without a new one, nothing has changed meanwhile.
        if found.events[-1].seq == order.last_seq:
            break
    return found


def may_view_all(user: User | AnonymousUser) -> bool:
    """Staff who look into the console may look here, too."""
    return bool(user.is_staff and user.has_perm(VIEW))


def _context(request: HttpRequest, found: History, account: Account | None) -> dict[str, Any]:
    now = timezone.now()
    order, attempts, events = found.order, found.attempts, found.events
    is_member = account is not None and account.pk == order.account_id
    waits = backs_off(order, events, now=now)
    told = outcome(order, attempts, events, now=now)
    return {
        "section": "order",
        "order": order,
        "swap": _swap_in_words(order),
        "result": _result(order),
        "outcome": told,
        "timeline": timeline(events, attempts, now=now),
        "attempts": [
            attempt_story(order, attempt, waits=waits and attempt is attempts[-1])
            for attempt in attempts
        ],
        "events": [_logged(event, order) for event in reversed(events)],
        "limit": figures.bps(order.slippage_bps),
        "least": _least(order),
        "placed_at": figures.day(order.created_at),
        "cancel_asked_at": figures.day(order.cancel_requested_at or now),
        "age": figures.span(now - order.created_at),
        "now": now,
        "follows": _follows(order, is_member=is_member),
        "stream_url": settings.STREAM_URL,
        "can_cancel": is_member and not order.is_final and order.cancel_requested_at is None,
        "may_see_console": may_view_all(request.user),
        "place_again": _place_again(order),
        "curl": _curl(request, order),
        "document": _document(found),
    }


def _follows(order: Order, *, is_member: bool) -> str:
    """How the page learns of what happens: members have the order's socket, others ask now and then."""
    if order.is_final:
        return ""
    return "socket" if is_member else "poll"


def _swap_in_words(order: Order) -> str:
    return f"{figures.amount(order.amount_in_base, order.token_in)} → {order.token_out}"


def _result(order: Order) -> str:
    """What came of it, in full."""
    if order.amount_out_base is None:
        return ""
    return figures.amount(order.amount_out_base, order.token_out)


def _least(order: Order) -> str:
    if order.min_amount_out_base is None:
        return ""
    return figures.amount(order.min_amount_out_base, order.token_out)


def _logged(event: OrderEvent, order: Order) -> LoggedEvent:
    details = orjson.dumps(event.details, option=orjson.OPT_INDENT_2).decode()
    return LoggedEvent(
        seq=event.seq,
        at=event.at,
        clock=figures.clock(event.at),
        elapsed=_elapsed(event.at - order.created_at),
        status=event.status,
        attempt=event.attempt,
        message=event.message,
        details=details if event.details else "",
    )


def _elapsed(length: timedelta) -> str:
    milliseconds = length // timedelta(milliseconds=1)
    return f"+{milliseconds // 1000:,}.{milliseconds % 1000:03d} s"


def _wish(order: Order) -> dict[str, Any] | None:
    """What was asked for, as the API takes it. None of a token that isn't listed any more: its decimals are unknown."""
    token_in = TOKENS.get(order.token_in)
    if token_in is None:
        return None
    return {
        "tokenIn": order.token_in,
        "tokenOut": order.token_out,
        "amount": from_base(int(order.amount_in_base), token_in),
        "slippageBps": order.slippage_bps,
    }


def _place_again(order: Order) -> str:
    wish = _wish(order)
    return f"/?{urlencode(wish)}" if wish else ""


def _curl(request: HttpRequest, order: Order) -> str:
    """How a program reads this order, and places another like it: not on its quote or by its name, both are used up."""
    key = '-H "Authorization: Bearer $KEY"'
    told = [f"curl -sS {request.build_absolute_uri(f'/api/orders/{order.id}')} {key}"]
    if wish := _wish(order):
        body = shlex.quote(json.dumps({"orderType": order.order_type, **wish}))
        address = request.build_absolute_uri("/api/orders/execute")
        told.append(
            f"curl -sS {address} {key} \\\n  -H 'Content-Type: application/json' \\\n  -d {body}"
        )
    return "\n\n".join(told)


def _document(found: History) -> str:
    """What `GET /api/orders/{id}` answers."""
    order = found.order
    if order.token_in not in TOKENS or order.token_out not in TOKENS:
        return ""
    document = history_as_json(order, found.attempts, found.events)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
