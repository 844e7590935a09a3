"""Venues: whether each is set aside, and how it has done lately. Nobody changes that by hand."""

from datetime import datetime
from typing import Any, Protocol

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.admin.format import NOTHING, chip, instant
from orders.admin.permissions import ReadOnly
from orders.venue_report import RECENT_S, VenueReport, reports


class Listed(Protocol):
    """A row of the list: a venue's state, and how it has done lately."""

    venue: str
    since: datetime
    failed_probes: int
    report: VenueReport


class VenuesWithReports(ChangeList):
    """Reads what the venues did together: a column that asks for its own row's would ask once for each."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        lately = reports([row.venue for row in self.result_list])
        for row in self.result_list:
            row.report = lately[row.venue]


class VenueStateAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "venue",
        "state",
        "changed",
        "probed",
        "asked",
        "error_rate",
        "latency",
        "win_rate",
    )
    fields = readonly_fields = list_display
    ordering = ("venue",)
    sortable_by = ()

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        row: Any = super().get_object(request, object_id, from_field)
        if row is not None:
            row.report = reports([row.venue])[row.venue]
        return row

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return VenuesWithReports

    @admin.display(description="State")
    def state(self, row: Listed) -> SafeString:
        return chip("set_aside" if row.report.set_aside_until else "active")

    @admin.display(description="Since")
    def changed(self, row: Listed) -> str:
        return instant(row.since)

    @admin.display(description="Probed next")
    def probed(self, row: Listed) -> SafeString | str:
        if not row.report.set_aside_until:
            return NOTHING
        failed = f"{row.failed_probes} failed so far"
        return format_html(
            '<span title="{}">{}</span>', failed, instant(row.report.set_aside_until)
        )

    @admin.display(description=f"Asked in {RECENT_S // 60} min")
    def asked(self, row: Listed) -> int:
        return row.report.asked

    @admin.display(description="Failed")
    def error_rate(self, row: Listed) -> str:
        return _percent(row.report.error_rate)

    @admin.display(description="Latency")
    def latency(self, row: Listed) -> str:
        report = row.report
        return f"{report.mean_ms} ms (slowest {report.slowest_ms} ms)" if report.asked else NOTHING

    @admin.display(description="Won")
    def win_rate(self, row: Listed) -> str:
        return _percent(row.report.win_rate)


def _percent(rate: float | None) -> str:
    return NOTHING if rate is None else f"{rate:.1%}"
