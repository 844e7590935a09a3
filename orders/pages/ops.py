"""The operations page: what went wrong first, then how much is done, how long it takes, and whether the parts answer.

It is whole without JavaScript. The module asks for the same address again and again; what it gets then, by the header
`X-Fragment`, is the live part alone.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.postgres.patience import answering_within
from orders import operations, parts
from orders.exchange import exchange
from orders.operations import Concerns, Holder, Latency, Queue
from orders.pages.ops_pictures import reaches, series
from orders.pages.ops_summary import Seen, summary
from orders.pages.panels import Panel
from orders.parts import Enquiry
from orders.quoting import label_of
from orders.throughput import EventCount, Throughput
from orders.venue_report import VenueReport, reports

PERMISSION: Final = "orders.view_order"
# All questions together. The page is then 503, and asked for again by its module.
ANSWER_WITHIN_S: Final = 3.0
# Only whoever looks first, after a while in which nobody did, waits for Redis.
REDIS_WAIT_S: Final = 0.3


def venues() -> dict[str, VenueReport]:
    """By the label that people know a venue by."""
    known = list(exchange().venues)
    return {label_of(name): report for name, report in reports(known).items()}


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that the page asks, with the answers that this process has already."""

    in_doubt: Panel[Concerns] = field(
        default_factory=lambda: Panel("in doubt", operations.in_doubt)
    )
    failed: Panel[Concerns] = field(default_factory=lambda: Panel("failed", operations.failed))
    retried: Panel[Concerns] = field(default_factory=lambda: Panel("retried", operations.retried))
    queue: Panel[Queue] = field(default_factory=lambda: Panel("queue", operations.queue))
    throughput: Panel[Throughput] = field(
        default_factory=lambda: Panel("throughput", EventCount().look)
    )
    # It reads the most, and changes the least.
    latency: Panel[Latency] = field(
        default_factory=lambda: Panel("latency", operations.latency, good_for_s=5.0)
    )
    venues: Panel[dict[str, VenueReport]] = field(default_factory=lambda: Panel("venues", venues))
    holders: Panel[tuple[Holder, ...]] = field(
        default_factory=lambda: Panel("holders", operations.holders)
    )
    redis: Enquiry[bool] = field(default_factory=lambda: Enquiry(parts.redis_answers, every_s=1.5))
    workers: Enquiry[tuple[str, ...] | None] = field(
        default_factory=lambda: Enquiry(parts.workers, every_s=5.0)
    )


board = Board()


@require_safe
@never_cache
@login_required
def page(request: HttpRequest) -> HttpResponse:
    if not (request.user.is_staff and request.user.has_perm(PERMISSION)):
        raise PermissionDenied("Operations are for staff who may view orders.")
    only_live = "X-Fragment" in request.headers
    with answering_within(ANSWER_WITHIN_S):
        shown = _shown(board)
    return render(request, "pages/ops_live.html" if only_live else "pages/ops.html", shown)


def _shown(board: Board) -> dict[str, Any]:
    redis, workers = board.redis.last(wait_s=REDIS_WAIT_S), board.workers.last()
    seen = Seen(
        in_doubt=board.in_doubt(),
        failed=board.failed(),
        queue=board.queue(),
        venues=board.venues(),
        redis=redis.answer if redis else None,
        workers=workers.answer if workers else None,
    )
    throughput, latency = board.throughput(), board.latency()
    return {
        "section": "operations",
        "as_of": timezone.now(),
        "summary": summary(seen),
        "in_doubt": seen.in_doubt,
        "failed": seen.failed,
        "retried": board.retried(),
        "queue": seen.queue,
        "throughput": throughput,
        "series": series(throughput.answer.points) if throughput.answer else None,
        "latency": latency,
        "reaches": reaches(latency.answer.spreads) if latency.answer else (),
        "sample": operations.SAMPLE,
        "venues": seen.venues,
        "holders": board.holders(),
        "redis": redis,
        "workers": workers,
        "all_in_doubt": _console(in_doubt="yes"),
        "all_failed": _console(status="failed", created="day"),
        "all_unfinished": _console(status="unfinished"),
        "flower_url": settings.FLOWER_URL,
    }


def _console(**filters: str) -> str:
    return reverse("admin:orders_order_changelist", query=filters)
