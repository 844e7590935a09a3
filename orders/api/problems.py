"""Every refusal as an RFC 9457 problem document: a stable `code`, a sentence, the field, and whether to try again."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from psycopg_pool import PoolTimeout
from rest_framework import exceptions
from rest_framework.response import Response

from orders import observe

CONTENT_TYPE = "application/problem+json"
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)
RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field. `field` is its name on the wire."""

    field: str
    code: str
    message: str


class Problem(exceptions.APIException):
    """A refusal. `field` names the one field that it is about, `errors` all of them when there are several."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        errors: list[FieldError] | None = None,
        retryable: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = self.status_code = status
        self.code = code
        self.sentence = detail
        self.errors = errors or ([FieldError(field, code, detail)] if field else [])
        self.retryable = retryable
        self.headers = headers or {}

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.sentence,
            "retryable": self.retryable,
        }
        if self.errors:
            document["errors"] = [
                {"field": error.field, "code": error.code, "message": error.message}
                for error in self.errors
            ]
        return document


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Django REST Framework's hook: whatever a view raises becomes a problem document."""
    problem = answer_to(error, path=context["request"].path)
    return Response(
        problem.as_json(),
        status=problem.status,
        headers=problem.headers or None,
        content_type=CONTENT_TYPE,
    )


def answer_to(error: Exception, *, path: str) -> Problem:
    """The problem that a client is told of; if it is ours, an operator is, too."""
    problem = as_problem(error)
    if problem.status == 500:
        observe.request_failed(path=path, error=error)
    return problem


def as_problem(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case exceptions.ValidationError():
            return _invalid(error)
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Problem(
                401,
                "NOT_AUTHENTICATED",
                _sentence(error),
                headers={"WWW-Authenticate": 'Bearer realm="orders"'},
            )
        case exceptions.MethodNotAllowed():
            return Problem(405, "METHOD_NOT_ALLOWED", _sentence(error))
        case exceptions.UnsupportedMediaType():
            return Problem(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body as application/json.")
        case exceptions.NotAcceptable():
            return Problem(406, "NOT_ACCEPTABLE", "This API answers application/json.")
        case exceptions.NotFound() | Http404():
            return Problem(404, "NOT_FOUND", "There is nothing at this address.")
        case exceptions.PermissionDenied() | PermissionDenied():
            return Problem(403, "FORBIDDEN", "This account may not do that.")
        case exceptions.ParseError():
            return Problem(400, "MALFORMED", _sentence(error))
        case RequestDataTooBig():
            return Problem(413, "BODY_TOO_LARGE", "The body is too large.")
        case SuspiciousOperation():
            return Problem(400, "MALFORMED", "The request is malformed.")
        case _ if isinstance(error, DATABASE_AWAY):
            return Problem(
                503,
                "DATABASE_UNAVAILABLE",
                "The database can't be reached now.",
                retryable=True,
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case _:
            return Problem(500, "INTERNAL", "Something went wrong on our side.", retryable=True)


def _invalid(error: exceptions.ValidationError) -> Problem:
    """Django REST Framework's nested error details, flattened to one entry per field."""
    details = error.detail if isinstance(error.detail, dict) else {"body": error.detail}
    errors = [
        FieldError(field=str(field), code=str(item.code).upper(), message=str(item))
        for field, items in details.items()
        for item in (items if isinstance(items, list) else [items])
        if isinstance(item, exceptions.ErrorDetail)
    ]
    return Problem(
        400, "VALIDATION_FAILED", " ".join(f"{e.field}: {e.message}" for e in errors), errors=errors
    )


def _sentence(error: exceptions.APIException) -> str:
    return str(error.detail)
