"""Exports in the console: asked for from the list of orders, with its filters and its search, watched, downloaded.

Whoever may see orders and export them sees their own exports; a superuser sees everybody's. Who asked for which
orders, who took the file and who cancelled it is in the console's log.
"""

import threading
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    QueryDict,
    StreamingHttpResponse,
)
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from orders import export_rows, exporting, tasks
from orders.admin.export_words import FORMAT_NAMES, in_words, told
from orders.admin.format import chip, instant
from orders.admin.permissions import NoChange
from orders.export_models import UNFINISHED_EXPORTS
from orders.export_selection import JoinsOtherTables
from orders.models import Export, ExportFormat, ExportState, Order

MOST_UNFINISHED = 5  # of one person
# Of one process: each takes a thread of it for as long as its reader takes.
MOST_DOWNLOADS = 2
# Where the list was scrolled to, and what order it had, is no filter.
NO_FILTERS = ("p", "o", "all", "e", "id__lt")


class AskForm(forms.Form):
    format = forms.ChoiceField(
        label="Format",
        choices=list(FORMAT_NAMES.items()),
        initial=ExportFormat.CSV,
        widget=forms.RadioSelect,
    )


class ExportAdmin(NoChange, admin.ModelAdmin):  # type: ignore[type-arg]
    actions = None
    list_display = ("what", "standing", "rows", "who", "asked", "kept_until")
    list_select_related = ("user",)
    list_per_page = 50
    ordering = ("-id",)
    show_full_result_count = False
    sortable_by = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["orders.view_order", "orders.export_order"])

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_add_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        exports: QuerySet[Export] = super().get_queryset(request)
        return exports if request.user.is_superuser else exports.filter(user_id=_user_id(request))

    def get_urls(self) -> list[URLPattern]:
        pages = (("progress", self.progress), ("cancel", self.cancel), ("download", self.download))
        return [
            *(
                path(
                    f"<int:export_id>/{name}/",
                    self.admin_site.admin_view(view),
                    name=f"orders_export_{name}",
                )
                for name, view in pages
            ),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What would be exported, and in which format; on a good answer an export waits for a worker."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            listed = self._listed(request)
        except IncorrectLookupParameters:
            messages.error(request, "The list's filters could not be read. Choose them again.")
            return HttpResponseRedirect(reverse("admin:orders_order_changelist"))
        form = AskForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                return self._asked(request, listed, ExportFormat(form.cleaned_data["format"]))
            except JoinsOtherTables:
                messages.error(request, "These filters can't be exported. Choose others.")
        more = listed.paginator.older_than is not None
        context = {
            **self.admin_site.each_context(request),
            "title": "Export orders",
            "opts": self.opts,
            "form": form,
            "words": in_words(listed),
            "count": listed.result_count,
            "is_more": more,
            "list_url": reverse("admin:orders_order_changelist") + listed.get_query_string(),
        }
        return TemplateResponse(request, "admin/orders/export/ask.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        export = self._export(request, object_id)
        plain, compressed = exporting.sizes(export) if _is_done(export) else (0, 0)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Export of {export.created_at:%Y-%m-%d %H:%M} UTC",
            "opts": self.opts,
            "export": export,
            "told": told(export),
            "is_done": _is_done(export),
            "list_url": reverse("admin:orders_order_changelist") + export.query,
            "rows": [
                ("Orders", export.words),
                ("Format", FORMAT_NAMES[export.format]),
                ("Asked by", export.user),
                ("Asked", instant(export.created_at)),
                ("Begun", instant(export.started_at)),
                ("Ended", instant(export.finished_at)),
                ("Kept until", instant(export.expires_at)),
            ],
            "plain": filesizeformat(plain),
            "compressed": filesizeformat(compressed),
        }
        return TemplateResponse(request, "admin/orders/export/export.html", context)

    def progress(self, request: HttpRequest, export_id: int) -> HttpResponse:
        return JsonResponse(asdict(told(self._export(request, export_id))))

    def cancel(self, request: HttpRequest, export_id: int) -> HttpResponse:
        return require_POST(self._cancel)(request, export_id)

    def download(self, request: HttpRequest, export_id: int) -> HttpResponseBase:
        return require_GET(self._download)(request, export_id)

    @admin.display(description="Orders")
    def what(self, export: Export) -> str:
        return str(export)

    @admin.display(description="State")
    def standing(self, export: Export) -> SafeString:
        return chip(export.state)

    @admin.display(description="Rows")
    def rows(self, export: Export) -> str:
        return f"{export.rows_written:,}"

    @admin.display(description="Asked by")
    def who(self, export: Export) -> str:
        return str(export.user)

    @admin.display(description="Asked")
    def asked(self, export: Export) -> str:
        return instant(export.created_at)

    @admin.display(description="Kept until")
    def kept_until(self, export: Export) -> str:
        return instant(export.expires_at)

    def _listed(self, request: HttpRequest) -> ChangeList:
        """The list of orders as the query string asks for it. Raises IncorrectLookupParameters."""
        asked = request.GET.copy()
        for name in NO_FILTERS:
            asked.pop(name, None)
        request.GET = QueryDict(asked.urlencode())
        orders = self.admin_site.get_model_admin(Order)
        return orders.get_changelist_instance(request)

    def _asked(
        self, request: HttpRequest, listed: ChangeList, format: ExportFormat
    ) -> HttpResponse:
        mine = Export.objects.filter(user_id=_user_id(request), state__in=UNFINISHED_EXPORTS)
        if mine.count() >= MOST_UNFINISHED:
            messages.error(
                request,
                f"{MOST_UNFINISHED} exports of yours are not finished. Wait for one, or cancel one.",
            )
            return HttpResponseRedirect(reverse("admin:orders_export_changelist"))
        with transaction.atomic():
            export = exporting.ask(
                listed.queryset,
                user_id=_user_id(request),
                format=format,
                query=listed.get_query_string(),
                words=in_words(listed),
            )
            self.log_addition(request, export, f"Asked for an export: {export}.")
        tasks.hint_exports()
        return HttpResponseRedirect(_page(export))

    def _cancel(self, request: HttpRequest, export_id: int) -> HttpResponse:
        export = self._export(request, export_id)
        if exporting.cancel(export):
            self.log_change(request, export, f"Cancelled the export: {export}.")
            messages.success(request, "The export is cancelled.")
        else:
            messages.warning(request, "The export had ended already: nothing was cancelled.")
        return HttpResponseRedirect(_page(export))

    def _download(self, request: HttpRequest, export_id: int) -> HttpResponseBase:
        export = self._export(request, export_id)
        if not _is_done(export):
            messages.warning(request, "There is no file: the export is not done.")
            return HttpResponseRedirect(_page(export))
        download = Download.begin(export, compressed="gz" in request.GET)
        if download is None:
            messages.warning(request, "Others are downloading exports now. Try again in a minute.")
            return HttpResponseRedirect(_page(export))
        plain, compressed = exporting.sizes(export)
        self.log_change(request, export, f"Downloaded the export: {export}.")
        format = ExportFormat(export.format)
        name = f"orders-{export.created_at.astimezone(UTC):%Y%m%d-%H%M%S}Z.{format}"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}{".gz" * download.compressed}"',
            "Content-Length": str(compressed if download.compressed else plain),
            "Cache-Control": "private, no-store",
        }
        media_type = "application/gzip" if download.compressed else export_rows.MEDIA_TYPES[format]
        return StreamingHttpResponse(download, content_type=media_type, headers=headers)

    def _export(self, request: HttpRequest, export_id: int | str) -> Export:
        """Raises Http404 also for somebody else's, and PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).filter(pk=export_id) if str(export_id).isdigit() else []
        for export in found:
            return export
        raise Http404("There is no such export; exports are removed a day after they ended.")


class Download:
    """The file on its way to one reader. Whoever sends it closes it, however far it came."""

    _places = threading.BoundedSemaphore(MOST_DOWNLOADS)

    def __init__(self, export: Export, *, compressed: bool) -> None:
        self.compressed = compressed
        self._parts = exporting.file_of(export, compressed=compressed)
        self._has_place = True

    @classmethod
    def begin(cls, export: Export, *, compressed: bool) -> "Download | None":
        """None when as many are on their way from this process as may."""
        return cls(export, compressed=compressed) if cls._places.acquire(blocking=False) else None

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        if self._has_place:
            self._has_place = False
            self._places.release()


def _user_id(request: HttpRequest) -> int:
    return int(request.user.pk or 0)


def _is_done(export: Export) -> bool:
    return export.state == ExportState.DONE and not _is_expired(export)


def _is_expired(export: Export) -> bool:
    return export.expires_at is not None and export.expires_at < timezone.now()


def _page(export: Export) -> str:
    return reverse("admin:orders_export_change", args=[export.pk])
