"""What a client gets while PostgreSQL is away: an answer, soon."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from config.postgres.patience import ANSWER_WITHIN_S, answering_within
from orders.api.problems import DATABASE_AWAY, RETRY_AFTER_S
from orders.pages.errors import page_of


class AnswerInTime:
    """Middleware, the outermost: the API's requests get a deadline, pages that meet an outage a 503."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(("/api/", "/ready")):
            return self._get_response(request)
        with answering_within(ANSWER_WITHIN_S):
            return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Below /api the views answer with a problem document themselves."""
        if not isinstance(error, DATABASE_AWAY):
            return None
        answer = page_of(
            503,
            "The database can't be reached now. Try again in a moment.",
            request=None,
            retryable=True,
        )
        answer["Retry-After"] = str(RETRY_AFTER_S)
        return answer
