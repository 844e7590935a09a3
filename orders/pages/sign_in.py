"""Signing in, at the pages' door and at the console's: not so often that a password could be guessed."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError

from orders.api.throttling import may_try_to_sign_in

TOO_OFTEN = "Somebody tried this name too often. Wait a minute, and try again."


class FewTries:
    """Mixed in before a form that asks for a name and a password. One try too many isn't looked at, right or wrong."""

    cleaned_data: dict[str, Any]

    def clean(self) -> Any:
        name = self.cleaned_data.get("username")
        if name and not may_try_to_sign_in(name):
            raise ValidationError(TOO_OFTEN, code="too_often")
        return super().clean()  # type: ignore[misc]  # the form's own


class SignInForm(FewTries, AuthenticationForm): ...


class ConsoleSignInForm(FewTries, AdminAuthenticationForm): ...
