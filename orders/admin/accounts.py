"""Accounts, which can be added, their people and their API keys, which can be issued and revoked.

A key in clear is never stored.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import accounts
from orders.admin.format import chip, code, instant
from orders.admin.permissions import NoChange, ReadOnly
from orders.models import Account, ApiKey, Member


class KeyColumns:
    @admin.display(description="Key")
    def beginning(self, key: ApiKey) -> SafeString:
        return code(f"{key.prefix}…")

    @admin.display(description="State")
    def validity(self, key: ApiKey) -> SafeString:
        return chip("revoked" if key.revoked_at else "valid")

    @admin.display(description="Issued")
    def issued(self, key: ApiKey) -> str:
        return instant(key.created_at)

    @admin.display(description="Revoked")
    def revoked(self, key: ApiKey) -> str:
        return instant(key.revoked_at)


class KeyInline(KeyColumns, ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = ApiKey
    extra = 0
    ordering = ("-id",)
    fields = readonly_fields = ("beginning", "label", "validity", "issued", "revoked")


class MemberAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who may sign in and trade for which account: who is removed here, or made inactive, is shut out in a second."""

    autocomplete_fields = ("user", "account")
    fields = ("user", "account")
    list_display = ("user", "account", "since")
    list_select_related = ("user", "account")
    ordering = ("user__username",)
    search_fields = ("user__username", "account__name")

    def has_change_permission(self, request: HttpRequest, obj: Member | None = None) -> bool:
        return False

    @admin.display(description="Since")
    def since(self, member: Member) -> str:
        return instant(member.created_at)


class MemberInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Member
    extra = 0
    ordering = ("user__username",)
    fields = readonly_fields = ("user", "since")
    verbose_name_plural = "People who trade for it"

    @admin.display(description="Since")
    def since(self, member: Member) -> str:
        return instant(member.created_at)


class AccountAdmin(NoChange, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "created", "orders")
    ordering = ("name",)
    search_fields = ("name",)

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        return ("name", "created", "orders") if obj else ("name",)

    def get_inlines(self, request: HttpRequest, obj: Account | None) -> list[Any]:
        return [MemberInline, KeyInline] if obj else []

    @admin.display(description="Created")
    def created(self, account: Account) -> str:
        return instant(account.created_at)

    @admin.display(description="Orders")
    def orders(self, account: Account) -> SafeString:
        url = reverse("admin:orders_order_changelist", query={"account": account.pk})
        return format_html('<a href="{}">the newest</a>', url)


class ApiKeyAdmin(KeyColumns, NoChange, admin.ModelAdmin):  # type: ignore[type-arg]
    actions = ("revoke",)
    autocomplete_fields = ("account",)
    list_display = ("beginning", "account", "label", "validity", "issued", "revoked")
    list_select_related = ("account",)
    ordering = ("-id",)
    search_fields = ("prefix", "label", "account__name")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        asked = ("account", "label")
        return (*asked, "beginning", "validity", "issued", "revoked") if obj else asked

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**(extra_context or {}), **one_button})

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Issue a key as the form asks; `obj` becomes the one that was issued, for the log of who did it."""
        clear, issued = accounts.issue_key(account=obj.account, label=obj.label)
        obj.pk = issued.pk
        obj.refresh_from_db()
        shown_once = (
            "The new key, shown this once: <code>{}</code> Copy it now; only its SHA-256 is kept."
        )
        messages.success(request, format_html(shown_once, clear))

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Answered without a redirect: on its way to another page the message would be stored, key and all."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API key issued",
            "opts": self.opts,
            "key": obj,
        }
        return TemplateResponse(request, "admin/orders/apikey/issued.html", context)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_apikey")

    @admin.action(description="Revoke the selected keys, for ever", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at=None))
        for key in keys:
            accounts.revoke_key(key)
            self.log_change(request, key, "Revoked.")
        self.message_user(request, f"Keys revoked: {len(keys)}.", messages.SUCCESS)
