"""Who is asking: the account behind `Authorization: Bearer <API key>`, or that of a person who signed in."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from orders import accounts
from orders.api.problems import Problem
from orders.models import Account
from orders.people import account_of_person


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`request.user` is no Django user but the Account; a bad or revoked key is refused, never ignored."""

    def authenticate(self, request: Request) -> tuple["Caller", None] | None:
        header = authentication.get_authorization_header(request).decode("latin-1")
        if not header:
            return None
        scheme, _, key = header.partition(" ")
        account = accounts.account_of_key(key.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            raise exceptions.AuthenticationFailed("This API key is unknown or revoked.")
        return Caller(account), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="orders"'


class SessionOfMember(authentication.SessionAuthentication):
    """The pages' own requests: `request.auth` is then their session's key.

    `config.middleware` finds the person only where no `Authorization` header stands.
    """

    def authenticate(self, request: Request) -> tuple["Caller", str] | None:
        person = getattr(request._request, "user", None)
        if person is None or not person.is_authenticated:
            return None
        self.enforce_csrf(request)
        account = account_of_person(person)
        if account is None:
            raise Problem(403, "NO_ACCOUNT", f"{person.get_username()} trades for no account.")
        return Caller(account), request._request.session.session_key or ""

    def enforce_csrf(self, request: Request) -> None:
        """Raises Problem."""
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise Problem(
                403, "CSRF_FAILED", "Send the page's CSRF token as X-CSRFToken."
            ) from error


class Caller:
    """The authenticated account, in the form that permissions expect of a user."""

    is_authenticated = True

    def __init__(self, account: Account) -> None:
        self.account = account
        self.pk = account.pk


def account_of(request: Request) -> Account:
    """Whose request this is. Only behind IsAuthenticated."""
    caller: object = request.user
    assert isinstance(caller, Caller)
    return caller.account


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "An account's API key."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = SessionOfMember
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "A member's session; what changes something needs X-CSRFToken, too.",
        }
