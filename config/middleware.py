"""Django's middleware for pages. Most requests to the API pass it by: a key needs no session and no user."""

from collections.abc import Callable
from typing import Any

from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import add_never_cache_headers, has_vary_header
from whitenoise.middleware import WhiteNoiseMiddleware


def is_of_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def speaks_for_itself(request: HttpRequest) -> bool:
    """Whether it says who it is by a header, or not at all, and not by a session."""
    return is_of_api(request) and (
        "HTTP_AUTHORIZATION" in request.META or settings.SESSION_COOKIE_NAME not in request.COOKIES
    )


class OfPages:
    """Mixed in before a middleware that the API has no use for."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if is_of_api(request):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # the middleware's own


class OfPeople:
    """Mixed in before a middleware that the API needs for what the pages ask of it."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if speaks_for_itself(request):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # the middleware's own


class NoNulls:
    """Refuses what PostgreSQL can't compare with anything: the character NUL, in a page's address or a session's key.

    The API says of its own parameters what is wrong with them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        named = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        if not is_of_api(request):
            named += request.path_info + request.META["QUERY_STRING"].replace("%00", "\0")
        if "\0" in named:
            raise SuspiciousOperation("There is a NUL in the address, or in the session's key.")
        return self._get_response(request)


class ContentSecurityPolicy(CSPMiddleware):
    """Also for `/api/docs`, the one page of the API."""

    def __call__(self, request: HttpRequest) -> Any:
        if is_of_api(request) and request.path_info != "/api/docs":
            return self.get_response(request)
        return super().__call__(request)


class StaticFiles(OfPages, WhiteNoiseMiddleware): ...  # type: ignore[misc]  # it has no types


class Compression(OfPeople, GZipMiddleware):
    """For browsers. Programs get their short answers as they are, and nobody spends the processor on them."""

    def process_request(self, request: HttpRequest) -> None:
        # What was compressed got a weak tag, and StaticFiles compares the files' own, which are strong.
        if tag := request.headers.get("If-None-Match"):
            request.META["HTTP_IF_NONE_MATCH"] = tag.removeprefix("W/")

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """A file to keep goes out as it was written, with its length: it may be long, or compressed already."""
        if "Content-Disposition" in response:
            return response
        return super().process_response(request, response)


class Sessions(OfPeople, SessionMiddleware):
    """What depends on who asks is kept by no cache, so that Back shows it to nobody after a sign-out."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> Any:
        answer = super().process_response(request, response)
        if has_vary_header(answer, "Cookie") and not answer.has_header("Cache-Control"):
            add_never_cache_headers(answer)
        return answer


class Authentication(OfPeople, AuthenticationMiddleware): ...


class Messages(OfPages, MessageMiddleware): ...
