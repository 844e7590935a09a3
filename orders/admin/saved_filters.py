"""The questions that people bring to the list of orders, ready to click. Each is answered by an index."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Q, QuerySet
from django.db.models.lookups import GreaterThan
from django.http import HttpRequest
from django.utils import timezone

from orders.lifecycle import Status
from orders.models import SLOW_S, Order

SLOW = timedelta(seconds=SLOW_S)


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """`means` says it in a sentence."""

    label: str
    means: str
    fits: Callable[[], Q]


def _failed_today() -> Q:
    midnight = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Q(status=Status.FAILED, updated_at__gte=midnight)


def in_doubt() -> Q:
    # Whoever is in doubt is due, and what is due has an index.
    return Q(in_doubt_since__isnull=False, due_at__isnull=False)


def _retried() -> Q:
    return Q(attempt__gt=1)


def _slow() -> Q:
    still_open = Q(due_at__isnull=False, created_at__lt=timezone.now() - SLOW)
    return still_open | Q(GreaterThan(F("updated_at") - F("created_at"), SLOW))


SAVED = {
    "failed_today": SavedFilter("Failed today", "Failed since 00:00 UTC.", _failed_today),
    "in_doubt": SavedFilter("In doubt", "The chain can't tell yet what became of them.", in_doubt),
    "retried": SavedFilter("Retried", "At their second attempt or a later one.", _retried),
    "slow": SavedFilter(
        "Slow",
        f"Open for more than {SLOW_S} s, or ended later than {SLOW_S} s after acceptance.",
        _slow,
    ),
}


class SavedFilters(admin.SimpleListFilter):
    """Shown above the list, not among the other filters. A click asks one question: it takes away the others."""

    title, parameter_name = "saved", "saved"
    template = "admin/orders/order/saved_filters.html"
    labels: ClassVar = [(name, saved.label) for name, saved in SAVED.items()]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.labels

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        saved = SAVED.get(self.value() or "")
        return orders.filter(saved.fits()) if saved else orders

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for name, saved in SAVED.items():
            yield {
                "selected": self.value() == name,
                "query_string": f"?{self.parameter_name}={name}",
                "display": saved.label,
                "means": saved.means,
            }
        yield {
            "selected": not changelist.params and not changelist.query,
            "query_string": "?",
            "display": "All",
            "means": "The newest orders, whatever became of them.",
        }


class OrdersChangeList(ChangeList):
    """Takes the saved filters out of the column of filters, once they have been applied."""

    saved: SavedFilters

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        saved = [each for each in self.filter_specs if isinstance(each, SavedFilters)]
        (self.saved,) = saved
        self.filter_specs = [each for each in self.filter_specs if each is not self.saved]
