"""Users, as Django shows them, except that who looks after them can't make anybody more than a role allows."""

from typing import Any

from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

# What a user may do beside their groups. Only a superuser gives that.
BESIDE_GROUPS = ("is_superuser", "user_permissions")


class UserOfRoles(UserAdmin):  # type: ignore[type-arg]
    """Only superusers change superusers, their passwords included: whoever could would soon be one."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_change_permission(request, obj)
        return may and (request.user.is_superuser or obj is None or not obj.is_superuser)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        kept = super().get_readonly_fields(request, obj)
        return kept if request.user.is_superuser else (*kept, *BESIDE_GROUPS)
