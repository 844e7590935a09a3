"""The REST API. A view checks, makes one call, and answers."""

from uuid import UUID

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders import accounts, intake
from orders.api import price_schema, quote_schema, schema
from orders.api.authentication import account_of
from orders.api.batch import batch_as_json, orders_in, submit_batch
from orders.api.filters import OrderFilter, OrderPages
from orders.api.parsers import BatchJSONParser
from orders.api.presentation import order_with_history_as_json, venue_as_json
from orders.api.prices import prices
from orders.api.problems import DATABASE_AWAY, Problem
from orders.api.quotes import quote
from orders.api.submission import submit
from orders.api.throttling import OrderThrottle, check_rate
from orders.exchange import exchange
from orders.models import Order
from orders.order_json import order_as_json
from orders.parts import redis_answers
from orders.stream import rfc3339
from orders.venue_report import reports
from routing.tokens import TOKENS

ALIVE = {"status": "ok"}


class ExecuteView(APIView):
    """Submit an order."""

    throttle_classes = [OrderThrottle]

    @extend_schema(**schema.EXECUTE)
    def post(self, request: Request) -> Response:
        placed = submit(
            account_of(request),
            request.data,
            idempotency_key=request.headers.get("Idempotency-Key"),
        )
        order = placed.order
        headers = {"Location": f"/api/orders/{order.id}"}
        if placed.replayed:
            headers["Idempotent-Replayed"] = "true"
        body = {**order_as_json(order), "streamUrl": f"{streams_at(request)}{order.id}"}
        return Response(body, status=200 if placed.replayed else 201, headers=headers)


class BatchView(APIView):
    """Submit many orders at once, each for itself."""

    parser_classes = [BatchJSONParser]

    @extend_schema(**schema.BATCH)
    def post(self, request: Request) -> Response:
        if "Idempotency-Key" in request.headers:
            raise Problem(
                400,
                "IDEMPOTENCY_KEY_NOT_ALLOWED",
                "A batch takes none: give each of its orders a clientOrderId.",
                field="Idempotency-Key",
            )
        account = account_of(request)
        orders = orders_in(request.data)
        check_rate(account.id, orders=len(orders))
        answers = submit_batch(account, orders)
        return Response(batch_as_json(answers, path=request.path, streams_at=streams_at(request)))


def streams_at(request: Request) -> str:
    """Where orders' events are streamed, each behind its id."""
    path = "/api/orders/execute/"
    if settings.STREAM_URL:
        return f"{settings.STREAM_URL}{path}"
    return request.build_absolute_uri(path).replace("http", "ws", 1)


class QuotesView(APIView):
    """What a swap would yield now."""

    throttle_classes = [OrderThrottle]

    @extend_schema(**quote_schema.QUOTE)
    def post(self, request: Request) -> Response:
        return Response(quote(account_of(request), request.data), status=201)


class OrderListView(APIView):
    """The account's orders, newest first."""

    @extend_schema(**schema.ORDER_LIST)
    def get(self, request: Request) -> Response:
        wanted = OrderFilter(data=request.query_params.dict())
        wanted.is_valid(raise_exception=True)
        pages = OrderPages()
        orders = wanted.narrow(Order.objects.filter(account=account_of(request)))
        page = pages.paginate_queryset(orders, request, self) or []
        return pages.get_paginated_response([order_as_json(order) for order in page])


class OrderDetailView(APIView):
    """One order, with its attempts and events."""

    @extend_schema(**schema.ORDER_DETAIL)
    def get(self, request: Request, order_id: str) -> Response:
        return Response(order_with_history_as_json(find_order(request, order_id)))


class CancelView(APIView):
    """Ask for an order to be cancelled; its stream tells who won the race."""

    @extend_schema(**schema.CANCEL)
    def post(self, request: Request, order_id: str) -> Response:
        order = find_order(request, order_id)
        try:
            order = intake.cancel_order(order.id, account_id=account_of(request).id)
        except intake.AlreadyFinal as error:
            raise Problem(409, "ALREADY_FINAL", str(error)) from error
        except intake.Halted as error:
            raise Problem(503, "EXECUTION_HALTED", str(error), retryable=True) from error
        return Response(order_as_json(order), status=202)


def find_order(request: Request, order_id: str) -> Order:
    """The account's order. Raises Problem: a malformed id is 400, anybody else's order does not exist."""
    try:
        wanted = UUID(order_id)
    except ValueError:
        raise Problem(400, "INVALID_ORDER_ID", "is no order id.", field="orderId") from None
    order = Order.objects.filter(id=wanted, account=account_of(request)).first()
    if order is None:
        raise Problem(404, "ORDER_NOT_FOUND", f"There is no order {wanted}.")
    return order


class StreamTicketView(APIView):
    """A ticket that opens one socket, once, soon: for browsers, which can't send headers."""

    @extend_schema(**schema.STREAM_TICKET)
    def post(self, request: Request) -> Response:
        clear, ticket = accounts.issue_ticket(
            account=account_of(request), session_key=str(request.auth or "")
        )
        return Response({"ticket": clear, "expiresAt": rfc3339(ticket.expires_at)}, status=201)


class TokensView(APIView):
    """The tokens that can be traded."""

    @extend_schema(**schema.TOKENS)
    def get(self, request: Request) -> Response:
        tokens = [
            {
                "symbol": token.symbol,
                "name": token.name,
                "mint": token.mint,
                "decimals": token.decimals,
            }
            for token in TOKENS.values()
        ]
        return Response({"tokens": tokens})


class VenuesView(APIView):
    """The exchanges that orders are routed to, and how each has done lately."""

    @extend_schema(**schema.VENUES)
    def get(self, request: Request) -> Response:
        venues = exchange().venues
        lately = reports(list(venues))
        return Response(
            {"venues": [venue_as_json(venue, lately[name]) for name, venue in venues.items()]}
        )


class PricesView(APIView):
    """What a pair's prices have been lately."""

    @extend_schema(**price_schema.PRICES)
    def get(self, request: Request) -> Response:
        return Response(prices(request.query_params.dict()))


@csrf_exempt
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """This process is alive. Nothing else is asked."""
    return JsonResponse(ALIVE)


@csrf_exempt
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 while orders can be accepted, which needs PostgreSQL; without Redis it is slower to execute and stream."""
    postgres = _postgres_answers()
    checks = {
        "postgres": "ok" if postgres else "away",
        "redis": "ok" if redis_answers() else "degraded",
    }
    return JsonResponse(
        {"status": "ready" if postgres else "unavailable", **checks},
        status=200 if postgres else 503,
    )


def _postgres_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DATABASE_AWAY:
        return False
    return True
