"""What nobody may do in the console, whatever their permissions say."""

from typing import Any

from django.http import HttpRequest


class NoChange:
    """Rows stay as they are."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnly(NoChange):
    """A window: rows come from elsewhere, too."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
