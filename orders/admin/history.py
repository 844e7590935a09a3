"""What became of an order: its attempts and its timeline. Signed bytes are never loaded."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.admin.format import (
    NOTHING,
    chip,
    elapsed,
    error_of,
    folded,
    instant,
    pretty_json,
    received,
    transaction_link,
)
from orders.admin.permissions import ReadOnly
from orders.models import OrderAttempt, OrderEvent
from orders.quoting import label_of
from orders.receipts import cost_as_json, execution_cost
from routing.tokens import TOKENS


class History(ReadOnly):
    """Part of an order's page. Whoever may view the order may view what became of it."""

    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("orders.view_order")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("order")  # type: ignore[misc,no-any-return]


class AttemptInline(History, admin.StackedInline):  # type: ignore[type-arg]
    model = OrderAttempt
    template = "admin/orders/order/attempts.html"
    ordering = ("number",)
    fields = readonly_fields = (
        "outcome",
        "times",
        "route",
        "offers",
        "amounts",
        "cost",
        "receipt_of_decision",
        "transaction",
        "validity",
        "proof_of_death",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderAttempt]:
        return super().get_queryset(request).defer("signed_bytes")

    @admin.display(description="State")
    def outcome(self, attempt: OrderAttempt) -> SafeString:
        return format_html("{} {}", chip(attempt.state), error_of(attempt))

    @admin.display(description="Times")
    def times(self, attempt: OrderAttempt) -> str:
        steps = [f"started {instant(attempt.started_at)}"]
        if attempt.sent_at:
            steps.append(f"sent {elapsed(attempt.sent_at - attempt.started_at)}")
        if attempt.ended_at:
            steps.append(f"ended {elapsed(attempt.ended_at - attempt.started_at)}")
        return " · ".join(steps)

    @admin.display(description="Route")
    def route(self, attempt: OrderAttempt) -> SafeString | str:
        if attempt.receipt:
            return render_to_string("admin/orders/order/legs.html", attempt.receipt)
        if not attempt.venue:
            return NOTHING
        return format_html("{} <code>{}</code>", label_of(attempt.venue), attempt.pool)

    @admin.display(description="Cost")
    def cost(self, attempt: OrderAttempt) -> SafeString | str:
        token_out = TOKENS.get(attempt.order.token_out)
        if attempt.receipt is None or attempt.amount_out_base is None or token_out is None:
            return NOTHING
        cost = execution_cost(attempt.receipt, token_out, int(attempt.amount_out_base))
        told = {"cost": cost_as_json(cost, token_out), "token_out": token_out.symbol}
        return render_to_string("admin/orders/order/cost.html", told)

    @admin.display(description="Receipt")
    def receipt_of_decision(self, attempt: OrderAttempt) -> SafeString | str:
        """What `manage.py explain` makes the decision again from."""
        return folded(pretty_json(attempt.receipt), title="as it is kept")

    @admin.display(description="Ways weighed")
    def offers(self, attempt: OrderAttempt) -> SafeString | str:
        if not attempt.quotes:
            return NOTHING
        ways = [{**quote, "venue": label_of(quote["venue"])} for quote in attempt.quotes]
        told = {"quotes": ways, "token_out": attempt.order.token_out}
        return render_to_string("admin/orders/order/quotes.html", told)

    @admin.display(description="Amount out")
    def amounts(self, attempt: OrderAttempt) -> str:
        return received(attempt, attempt.order.token_out)

    @admin.display(description="Transaction")
    def transaction(self, attempt: OrderAttempt) -> SafeString | str:
        return transaction_link(attempt.signature)

    @admin.display(description="Validity")
    def validity(self, attempt: OrderAttempt) -> SafeString | str:
        if attempt.last_valid_block_height is None:
            return NOTHING
        sentence = "signed at slot {}, can land up to block height {} of cluster <code>{}</code>"
        return format_html(
            sentence, attempt.signed_slot, attempt.last_valid_block_height, attempt.genesis_hash
        )

    @admin.display(description="Proof of death")
    def proof_of_death(self, attempt: OrderAttempt) -> SafeString | str:
        return pretty_json(attempt.proof)


class TimelineInline(History, admin.TabularInline):  # type: ignore[type-arg]
    model = OrderEvent
    verbose_name, verbose_name_plural = "event", "timeline"
    ordering = ("seq",)
    fields = readonly_fields = ("number", "time", "after", "became", "in_attempt", "sentence")

    @admin.display(description="Seq")
    def number(self, event: OrderEvent) -> int:
        return event.seq

    @admin.display(description="Time")
    def time(self, event: OrderEvent) -> str:
        return instant(event.at)

    @admin.display(description="Since accepted")
    def after(self, event: OrderEvent) -> str:
        return elapsed(event.at - event.order.created_at)

    @admin.display(description="Status")
    def became(self, event: OrderEvent) -> SafeString:
        return chip(event.status)

    @admin.display(description="Attempt")
    def in_attempt(self, event: OrderEvent) -> SafeString | str:
        if not event.attempt:
            return NOTHING
        return format_html('<a href="#attempts-{}">{}</a>', event.attempt - 1, event.attempt)

    @admin.display(description="Message")
    def sentence(self, event: OrderEvent) -> str:
        return event.message
