"""Django's middleware for pages. Requests to the API pass it by: a key in a header needs no session and no user."""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware


class OfPages:
    """Mixed in before a middleware."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith("/api/"):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # the middleware's own


class StaticFiles(OfPages, WhiteNoiseMiddleware): ...  # type: ignore[misc]  # it has no types


class Sessions(OfPages, SessionMiddleware): ...


class Authentication(OfPages, AuthenticationMiddleware): ...


class Messages(OfPages, MessageMiddleware): ...
