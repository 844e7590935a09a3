"""Who did what here, and when: what Django records of every named action and every form."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders.admin.format import instant
from orders.admin.permissions import ReadOnly


class LogEntryAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    fields = readonly_fields = ("at", "user", "object", "what")
    list_display = ("at", "user", "object", "what")
    list_display_links = None
    list_select_related = ("user", "content_type")
    ordering = ("-id",)
    search_fields = ("user__username", "=object_id", "change_message")
    search_help_text = "A user's name, an object's id, or words of a reason."
    show_full_result_count = False
    sortable_by = ()

    @admin.display(description="At")
    def at(self, entry: LogEntry) -> str:
        return instant(entry.action_time)

    @admin.display(description="On")
    def object(self, entry: LogEntry) -> SafeString | str:
        kind = entry.content_type.name if entry.content_type else ""
        url = entry.get_admin_url()
        if url is None or entry.is_deletion():
            return f"{kind} {entry.object_repr}"
        return format_html('{} <a href="{}">{}</a>', kind, url, entry.object_repr)

    @admin.display(description="What")
    def what(self, entry: LogEntry) -> str:
        return entry.get_change_message() or entry.get_action_flag_display()
