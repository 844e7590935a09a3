"""The list of orders: fast with a million of them, because nothing here counts or scans the table.

The newest are listed by primary key, and `older_than` leads on from there. Search is exact, and by index. Filters offer
fixed choices; one that few orders fit reads the table once (0.1 s a million rows), the urgent ones have an index.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from orders.admin.saved_filters import in_doubt
from orders.exchange import exchange
from orders.lifecycle import ACTIVE, Status
from orders.models import Account, Order, OrderAttempt
from routing.tokens import TOKENS

MAX_LISTED = 1_000
UNFINISHED = "unfinished"
# Between the clock of the process that made an id and the database's, which says when it was accepted.
CLOCKS_DIFFER_AT_MOST = timedelta(hours=1)

Choices = Iterable[tuple[str, str]]


class NewestOrders(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Pages of the newest orders that fit. It reads no more ids than it can list, and never counts."""

    @cached_property
    def count(self) -> int:
        return min(len(self._newest), MAX_LISTED)

    @property
    def older_than(self) -> UUID | None:
        """The last order listed here, if there are more behind it."""
        return self._newest[MAX_LISTED - 1] if len(self._newest) > MAX_LISTED else None

    @cached_property
    def _newest(self) -> list[UUID]:
        fitting: QuerySet[Order] = self.object_list  # type: ignore[assignment]
        return list(fitting.values_list("pk", flat=True)[: MAX_LISTED + 1])


def orders_searched(name: str) -> Q:
    """The orders of the account with this name, and the orders that are named so themselves."""
    account = Account.objects.filter(name=name).order_by("pk").first()
    if account is None:
        return orders_named(name)
    # Few if any, and looked up first: beside them the account's own index could not give the newest.
    named = list(Order.objects.filter(orders_named(name)).values_list("pk", flat=True)[:MAX_LISTED])
    of_account = Q(account=account)
    return of_account | Q(pk__in=named) if named else of_account


def orders_named(name: str) -> Q:
    """The orders with this id, client order id (of any account) or transaction hash, or with this memo."""
    named = Q(client_order_id=name)
    with suppress(ValueError):  # it may be another kind of name
        named |= Q(id=UUID(name.partition(":")[0]))
    # Two queries: an OR over a join could use no index.
    signed = OrderAttempt.objects.filter(signature=name).values_list("order_id", flat=True)
    return named | Q(id__in=list(signed))


class ColumnFilter(admin.SimpleListFilter):
    """One column equals one of its known values."""

    column: ClassVar[str]

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        return orders.filter(**{self.column: self.value()}) if self.value() else orders


class StatusFilter(ColumnFilter):
    title = parameter_name = column = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(UNFINISHED, UNFINISHED), *((status.value, status.value) for status in Status)]

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        if self.value() == UNFINISHED:
            return orders.filter(due_at__isnull=False)
        if self.value() in ACTIVE:
            # Says nothing new, but lets the index of what is due find them.
            orders = orders.filter(due_at__isnull=False)
        return super().queryset(request, orders)


class VenueFilter(ColumnFilter):
    title = parameter_name = "venue"
    column = "selected_dex"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(venue.name, venue.label) for venue in exchange().venues.values()]

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        venue = self.value()  # alone, or with others
        return orders.filter(selected_dex__contains=venue) if venue else orders


class TokenInFilter(ColumnFilter):
    title = "token in"
    parameter_name = column = "token_in"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(symbol, symbol) for symbol in TOKENS]


class TokenOutFilter(TokenInFilter):
    title = "token out"
    parameter_name = column = "token_out"


class CreatedFilter(admin.SimpleListFilter):
    title = parameter_name = "created"
    spans: ClassVar = {
        "hour": ("in the last hour", timedelta(hours=1)),
        "day": ("in the last 24 hours", timedelta(days=1)),
        "week": ("in the last 7 days", timedelta(days=7)),
        "month": ("in the last 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(name, label) for name, (label, _) in self.spans.items()]

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        _, span = self.spans.get(self.value() or "", (None, None))
        if span is None:
            return orders
        since = timezone.now() - span
        # Ids begin with the time, so that the primary key finds the range; created_at then decides.
        first_ms = int((since - CLOCKS_DIFFER_AT_MOST).timestamp() * 1000)
        return orders.filter(id__gte=UUID(int=first_ms << 80), created_at__gte=since)


class InDoubtFilter(admin.SimpleListFilter):
    title, parameter_name = "in doubt", "in_doubt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [("yes", "in doubt now")]

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        return orders.filter(in_doubt()) if self.value() == "yes" else orders


class CancelRequestedFilter(admin.SimpleListFilter):
    title, parameter_name = "cancel", "cancel_requested"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [("yes", "requested after sending")]

    def queryset(self, request: HttpRequest, orders: QuerySet[Order]) -> QuerySet[Order]:
        return orders.filter(cancel_requested_at__isnull=False) if self.value() == "yes" else orders
