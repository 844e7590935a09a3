"""Orders, to look at: the list, one order with what it came to, and what can be done about it."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.admin import actions, doubt, integrity, transactions
from orders.admin.actions import NamedAction
from orders.admin.format import (
    NOTHING,
    chip,
    code,
    error_of,
    instant,
    received,
    transaction_link,
    two_lines,
    whole,
)
from orders.admin.history import AttemptInline, TimelineInline
from orders.admin.order_list import (
    CancelRequestedFilter,
    CreatedFilter,
    InDoubtFilter,
    NewestOrders,
    StatusFilter,
    TokenInFilter,
    TokenOutFilter,
    VenueFilter,
    orders_searched,
)
from orders.admin.permissions import ReadOnly
from orders.admin.resolutions import ResolutionInline
from orders.admin.saved_filters import OrdersChangeList, SavedFilters
from orders.models import Order
from orders.quoting import label_of
from orders.stream import executed_price
from routing.tokens import TOKENS


class OrderAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    actions = ("cancel", "requeue")
    inlines = (ResolutionInline, TimelineInline, AttemptInline)
    list_display = (
        "order_id",
        "standing",
        "swap",
        "route",
        "client",
    )
    list_filter = (
        SavedFilters,
        StatusFilter,
        InDoubtFilter,
        CancelRequestedFilter,
        CreatedFilter,
        VenueFilter,
        TokenInFilter,
        TokenOutFilter,
    )
    list_per_page = list_max_show_all = 50
    list_select_related = ("account",)
    ordering = ("-id",)
    paginator = NewestOrders
    search_fields = ("id",)
    search_help_text = (
        "An order id, a client order id, an account's name, a transaction hash or a memo, in full."
    )
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()
    fieldsets = (
        (
            None,
            {"fields": ("standing", "swap", "result", "price", "venue", "error", "transaction")},
        ),
        (
            "Asked for",
            {"fields": ("owner", "client_id", "order_type", "limit", "quote", "created")},
        ),
        ("Workers", {"fields": ("next_look", "lease", "updated"), "classes": ("collapse",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path(
                "transaction/<str:signature>/",
                view(self.chain_transaction),
                name="orders_chaintransaction",
            ),
            path("cancel/", view(self.cancel_page), name="orders_order_cancel"),
            path("requeue/", view(self.requeue_page), name="orders_order_requeue"),
            path("<uuid:order_id>/doubt/", view(self.end_doubt), name="orders_order_doubt"),
            path("<uuid:order_id>/log/", view(self.check_log), name="orders_order_log"),
            *super().get_urls(),
        ]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(actions.CANCEL.permission)

    @admin.action(description="Cancel…", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse:
        return self._asked_for_a_reason(request, actions.CANCEL)

    def cancel_page(self, request: HttpRequest) -> HttpResponse:
        return actions.page(request, actions.CANCEL, console=self)

    def has_requeue_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(actions.REQUEUE.permission)

    @admin.action(description="Requeue…", permissions=["requeue"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse:
        return self._asked_for_a_reason(request, actions.REQUEUE)

    def requeue_page(self, request: HttpRequest) -> HttpResponse:
        return actions.page(request, actions.REQUEUE, console=self)

    def _asked_for_a_reason(self, request: HttpRequest, action: NamedAction) -> HttpResponse:
        """Those that are ticked, and never all that a filter fits: the page says which they are."""
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        url = reverse(f"admin:orders_order_{action.name}", query={"id": ticked})
        return HttpResponseRedirect(url)

    def end_doubt(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        return doubt.page(request, order_id, console=self)

    def check_log(self, request: HttpRequest, order_id: UUID) -> TemplateResponse:
        return integrity.page(request, order_id, console=self)

    def chain_transaction(self, request: HttpRequest, signature: str) -> TemplateResponse:
        return transactions.page(request, signature, console=self)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "title": "Orders"})

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[OrdersChangeList]:
        return OrdersChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """By default any column may be looked up in any way; the table is too large for that."""
        offered = {each.parameter_name for each in self.list_filter}
        return lookup in {"account", "id__lt", *offered}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        name = search_term.strip()
        return (queryset.filter(orders_searched(name)) if name else queryset), False

    @admin.display(description="Order, accepted (UTC)")
    def order_id(self, order: Order) -> SafeString:
        at = f"{order.created_at:%Y-%m-%d %H:%M:%S}"
        return format_html('{}<br><span class="soft small">{}</span>', code(str(order.id)), at)

    @admin.display(description="Status")
    def standing(self, order: Order) -> SafeString:
        marks = [chip(order.status)]
        if order.in_doubt_since:
            since = f"since {instant(order.in_doubt_since)}"
            marks.append(format_html('<span title="{}">{}</span>', since, chip("in_doubt")))
        if order.cancel_requested_at:
            at = f"at {instant(order.cancel_requested_at)}"
            marks.append(format_html('<span title="{}">{}</span>', at, chip("cancel_requested")))
        return SafeString(" ".join(marks))

    @admin.display(description="Swap")
    def swap(self, order: Order) -> SafeString:
        amount_in = whole(order.amount_in_base, order.token_in)
        out = order.token_out
        if order.amount_out_base is not None:
            out = whole(order.amount_out_base, order.token_out)
        return two_lines(amount_in, f"→ {out}")

    @admin.display(description="Venue")
    def venue(self, order: Order) -> str:
        return label_of(order.selected_dex) or NOTHING

    @admin.display(description="Venue")
    def route(self, order: Order) -> SafeString | str:
        return (
            two_lines(self.venue(order), f"attempt {order.attempt}") if order.attempt else NOTHING
        )

    @admin.display(description="Client")
    def client(self, order: Order) -> SafeString:
        return two_lines(order.account.name, order.client_order_id or "")

    @admin.display(description="Client order id")
    def client_id(self, order: Order) -> str:
        return order.client_order_id or NOTHING

    @admin.display(description="Accepted")
    def created(self, order: Order) -> str:
        return instant(order.created_at)

    @admin.display(description="Amount out")
    def result(self, order: Order) -> str:
        return received(order, order.token_out)

    @admin.display(description="Executed price")
    def price(self, order: Order) -> str:
        token_in, token_out = TOKENS.get(order.token_in), TOKENS.get(order.token_out)
        if token_in is None or token_out is None or order.amount_out_base is None:
            return NOTHING
        amount_in_base, amount_out_base = int(order.amount_in_base), int(order.amount_out_base)
        price = executed_price(token_in, amount_in_base, token_out, amount_out_base)
        return f"{price} {token_out.symbol} per {token_in.symbol}"

    @admin.display(description="Error")
    def error(self, order: Order) -> SafeString | str:
        if not order.error_code:
            return NOTHING
        chance = "may work" if order.error_retryable else "will fail the same way"
        return format_html("{} The same order, placed again, {}.", error_of(order), chance)

    @admin.display(description="Last transaction")
    def transaction(self, order: Order) -> SafeString | str:
        return transaction_link(order.tx_hash)

    @admin.display(description="Account")
    def owner(self, order: Order) -> SafeString:
        url = reverse("admin:orders_account_change", args=[order.account_id])
        return format_html('<a href="{}">{}</a>', url, order.account)

    @admin.display(description="Slippage limit")
    def limit(self, order: Order) -> str:
        return f"{order.slippage_bps} bps"

    @admin.display(description="Quote")
    def quote(self, order: Order) -> SafeString | str:
        if order.quote_id is None:
            return NOTHING
        return format_html("{} until {}", order.quote_id, instant(order.quote_expires_at))

    @admin.display(description="Next look")
    def next_look(self, order: Order) -> str:
        return instant(order.due_at)

    @admin.display(description="Lease")
    def lease(self, order: Order) -> str:
        holder = order.holder or "nobody yet"
        return f"held last by {holder}, fencing token {order.fence}, {order.claims} claims since the last event"

    @admin.display(description="Last event")
    def updated(self, order: Order) -> str:
        return f"{instant(order.updated_at)} (seq {order.last_seq})"
