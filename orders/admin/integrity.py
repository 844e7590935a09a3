"""Whether an order's log is what was written: its chain of hashes, computed anew when the page is opened."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.html import format_html_join

from orders.admin.format import chip
from orders.audit.one import LogReport, check_log
from orders.models import Order


def page(
    request: HttpRequest, order_id: UUID, *, console: "admin.ModelAdmin[Any]"
) -> TemplateResponse:
    """For whoever may view orders."""
    if not console.has_view_permission(request):
        raise PermissionDenied
    order = get_object_or_404(Order, id=order_id)
    report = check_log(order.id)
    context = {
        **console.admin_site.each_context(request),
        "title": "Integrity of the log",
        "opts": Order._meta,
        "order": order,
        "report": report,
        "heads": ["", "Check", "What was found"],
        "rows": _rows(report),
    }
    return TemplateResponse(request, "admin/orders/order/integrity.html", context)


def _rows(report: LogReport) -> list[tuple[str, str, str]]:
    return [
        (
            chip("broken" if check.troubles else "whole"),
            f"{check.what[:1].upper()}{check.what[1:]}.",
            format_html_join("", "<div>{}</div>", ((each,) for each in check.troubles)),
        )
        for check in report.checks
    ]
