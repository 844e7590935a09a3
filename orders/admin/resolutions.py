"""How doubts were ended by hand: what was proposed by whom, and who decided on it. It is done on the order's page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.admin.doubt import outcome_of
from orders.admin.format import NOTHING, chip, code, instant, order_url
from orders.admin.history import History
from orders.admin.permissions import ReadOnly
from orders.models import Resolution, ResolutionState
from orders.resolution import is_about_now


class ResolutionColumns:
    @admin.display(description="Proposed by")
    def proposer(self, proposed: Resolution) -> str:
        return proposed.proposed_by.get_username()

    @admin.display(description="At")
    def at(self, proposed: Resolution) -> str:
        return instant(proposed.proposed_at)

    @admin.display(description="What happened")
    def outcome(self, proposed: Resolution) -> str:
        return outcome_of(proposed)

    @admin.display(description="State")
    def standing(self, proposed: Resolution) -> SafeString:
        is_open = proposed.state == ResolutionState.OPEN
        over = is_open and not is_about_now(proposed, proposed.order)
        return chip(ResolutionState.VOID if over else proposed.state)

    @admin.display(description="Decided by")
    def decider(self, proposed: Resolution) -> str:
        return proposed.decided_by.get_username() if proposed.decided_by else NOTHING

    @admin.display(description="Their reason")
    def decision(self, proposed: Resolution) -> str:
        return proposed.decision_reason or NOTHING


class ResolutionInline(ResolutionColumns, History, admin.TabularInline):  # type: ignore[type-arg]
    model = Resolution
    verbose_name, verbose_name_plural = "proposal", "proposals to end the doubt"
    ordering = ("id",)
    fields = readonly_fields = (
        "at",
        "proposer",
        "outcome",
        "evidence",
        "reason",
        "standing",
        "decider",
        "decision",
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("proposed_by", "decided_by")


class ResolutionAdmin(ResolutionColumns, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("of_order", "standing", "outcome", "proposer", "at", "decider", "decision")
    list_display_links = None
    list_filter = ("state",)
    list_select_related = ("order", "proposed_by", "decided_by")
    ordering = ("-id",)
    search_fields = ("=order__id", "proposed_by__username", "decided_by__username")
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()
    fields = readonly_fields = (
        "of_order",
        "attempt",
        "standing",
        "outcome",
        "evidence",
        "reason",
        "proposer",
        "at",
        "decider",
        "decision",
    )

    @admin.display(description="Order")
    def of_order(self, proposed: Resolution) -> SafeString:
        url = order_url(proposed.order_id)
        return format_html('<a href="{}">{}</a>', url, code(str(proposed.order_id)))
