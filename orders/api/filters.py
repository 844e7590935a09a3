"""What `GET /api/orders` can be asked for, and how its pages are cut."""

from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders.api.fields import KnownFieldsSerializer
from orders.api.problems import Problem
from orders.exchange import exchange
from orders.lifecycle import Status
from orders.models import Order
from routing.tokens import TOKENS

MAX_PAGE = 200


@extend_schema_field(OpenApiTypes.STR)
class PairField(serializers.Field[tuple[str, str], Any, str, Any]):
    default_error_messages = {"invalid": 'must be two listed tokens like "SOL/USDC".'}

    def to_internal_value(self, data: Any) -> tuple[str, str]:
        token_in, _, token_out = str(data).partition("/")
        if token_in not in TOKENS or token_out not in TOKENS:
            self.fail("invalid")
        return token_in, token_out


@extend_schema_field(OpenApiTypes.STR)
class VenueField(serializers.Field[str, Any, str, Any]):
    default_error_messages = {"unknown_venue": "must be one of {venues}."}

    def to_internal_value(self, data: Any) -> str:
        venues = exchange().venues
        if data not in venues:
            self.fail("unknown_venue", venues=", ".join(venues))
        return str(data)


class OrderFilter(KnownFieldsSerializer):
    """Query parameters. Values that can't be are refused, not ignored."""

    status = serializers.ChoiceField(choices=[status.value for status in Status], required=False)
    pair = PairField(required=False, help_text="tokenIn/tokenOut, like SOL/USDC.")
    venue = VenueField(required=False, help_text="The chosen venue, like raydium.")
    clientOrderId = serializers.CharField(required=False, max_length=64)
    createdAfter = serializers.DateTimeField(
        required=False, help_text="Accepted at or after this time."
    )
    createdBefore = serializers.DateTimeField(
        required=False, help_text="Accepted before this time."
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_PAGE, help_text="Page size."
    )
    cursor = serializers.CharField(
        required=False, help_text="From `next` or `previous` of another page."
    )

    def narrow(self, orders: QuerySet[Order]) -> QuerySet[Order]:
        """The orders that the (valid) parameters ask for."""
        wanted = self.validated_data
        if "status" in wanted:
            orders = orders.filter(status=wanted["status"])
        if "pair" in wanted:
            orders = orders.filter(token_in=wanted["pair"][0], token_out=wanted["pair"][1])
        if "venue" in wanted:
            orders = orders.filter(selected_dex__contains=wanted["venue"])  # alone, or with others
        if "clientOrderId" in wanted:
            orders = orders.filter(client_order_id=wanted["clientOrderId"])
        if "createdAfter" in wanted:
            orders = orders.filter(created_at__gte=wanted["createdAfter"])
        if "createdBefore" in wanted:
            orders = orders.filter(created_at__lt=wanted["createdBefore"])
        return orders


class OrderPages(CursorPagination):
    """Newest first. A cursor stays right while orders are added: ids only grow."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = MAX_PAGE

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            page: list[Any] | None = super().paginate_queryset(queryset, request, view)
            return page
        except (NotFound, ValueError) as error:
            raise self._broken() from error

    def decode_cursor(self, request: Request) -> Any:
        encoded = request.query_params.get(self.cursor_query_param)
        if encoded is not None and not self._is_ours(encoded):
            raise self._broken()
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                Order._meta.pk.to_python(cursor.position)
            except Exception as error:
                raise self._broken() from error
        return cursor

    def _is_ours(self, encoded: str) -> bool:
        """Ours hold a position and perhaps a direction: ids are unique, so offsets are never needed."""
        try:
            tokens = parse_qs(
                b64decode(encoded, validate=True).decode("ascii"), strict_parsing=True
            )
        except ValueError:
            return False
        return "p" in tokens and tokens.keys() <= {"p", "r"}

    def _broken(self) -> Problem:
        return Problem(
            400,
            "INVALID_CURSOR",
            "must come from `next` or `previous` of another page.",
            field="cursor",
        )

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {"orders": data, "next": self.get_next_link(), "previous": self.get_previous_link()}
        )
