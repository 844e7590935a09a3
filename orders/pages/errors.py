"""What a person sees when something is not there, not allowed, or broken; below `/api` a client gets a problem."""

from http import HTTPStatus

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from orders.api.problems import CONTENT_TYPE, DATABASE_AWAY, Problem, as_problem

TITLES = {
    400: "That request makes no sense",
    403: "That is not yours to see",
    404: "There is nothing here",
    500: "Something went wrong",
    503: "The engine is out of breath",
}


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, as_problem(SuspiciousOperation()))


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return _answer(request, as_problem(PermissionDenied()))
    sentence = str(exception) or "Ask an administrator for the role that may."
    return _answer(request, Problem(403, "FORBIDDEN", sentence))


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, as_problem(Http404()))


def handler500(request: HttpRequest) -> HttpResponse:
    return _answer(request, as_problem(Exception()))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's own page quotes settings; what helps is to load the form again."""
    sentence = "This form was open for too long, or came from elsewhere. Go back, load it again, and send it once more."
    return page_of(403, sentence, request=request)


def _answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    if _is_api(request):
        return JsonResponse(problem.as_json(), status=problem.status, content_type=CONTENT_TYPE)
    whose = request if problem.status < 500 else None
    return page_of(problem.status, problem.sentence, request=whose, retryable=problem.retryable)


def page_of(
    status: int, sentence: str, *, request: HttpRequest | None, retryable: bool = False
) -> HttpResponse:
    """Without a request nobody is asked who it was, as when the database can't be asked: what is true stays true."""
    shown = {
        "status": status,
        "title": TITLES.get(status, HTTPStatus(status).phrase),
        "sentence": sentence,
        "retryable": retryable,
    }
    try:
        html = render_to_string("pages/error.html", shown, request)
    except DATABASE_AWAY:
        html = render_to_string("pages/error.html", shown)
    return HttpResponse(html, status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
