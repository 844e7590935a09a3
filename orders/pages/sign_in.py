"""Signing in, at the pages' door and at the console's: not so often that a password could be guessed."""

import time
from hashlib import sha256
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError

from orders import counting

TRIES_PER_MINUTE = 10
TOO_OFTEN = "Somebody tried this name too often. Wait a minute, and try again."


def may_try(name: str) -> bool:
    """Count one try under this name, whoever makes it; False beyond TRIES_PER_MINUTE."""
    key = f"sign-in:{sha256(name.encode()).hexdigest()}:{int(time.time() // 60)}"
    return counting.counter().allows(key, TRIES_PER_MINUTE, ttl_s=60, count=1)


class FewTries:
    """Mixed in before a form that asks for a name and a password. One try too many isn't looked at, right or wrong."""

    cleaned_data: dict[str, Any]

    def clean(self) -> Any:
        name = self.cleaned_data.get("username")
        if name and not may_try(name):
            raise ValidationError(TOO_OFTEN, code="too_often")
        return super().clean()  # type: ignore[misc]  # the form's own


class SignInForm(FewTries, AuthenticationForm): ...


class ConsoleSignInForm(FewTries, AdminAuthenticationForm): ...
