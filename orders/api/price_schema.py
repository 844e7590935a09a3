"""What the OpenAPI document says of prices."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from orders.api.prices import PriceFilter
from orders.api.schema import REFUSED, problem

_POINT = {
    "at": "2026-11-25T12:00:00.000000Z",
    "slot": 102_400,
    "reference": "139.305316",
    "venues": {
        "raydium": {"low": "139.212744", "high": "139.301207"},
        "meteora": {"low": "138.640512", "high": "139.47286"},
    },
}
_LATEST = _POINT | {"at": "2026-11-25T12:00:03.600000Z", "slot": 102_409, "reference": "139.31"}


class BandDocument(serializers.Serializer[Any]):
    low = serializers.CharField(help_text="Of the pool with the lowest price.")
    high = serializers.CharField(help_text="Of the pool with the highest price.")


class PricePointDocument(serializers.Serializer[Any]):
    """All prices are tokenOut for one tokenIn, to 9 significant digits."""

    at = serializers.DateTimeField(help_text="When the slot began.")
    slot = serializers.IntegerField()
    reference = serializers.CharField(help_text="The market's price, which pools follow.")
    venues = serializers.DictField(
        child=BandDocument(),
        help_text="Between which mid prices each venue's pools stand, before fees. Empty where no pool trades the "
        "pair, which is then swapped over SOL or USDC.",
    )


class PricesDocument(serializers.Serializer[Any]):
    tokenIn = serializers.CharField()
    tokenOut = serializers.CharField()
    stepMs = serializers.IntegerField(help_text="From one point to the next.")
    points = PricePointDocument(many=True, help_text="Oldest first.")
    latest = PricePointDocument(help_text="Of the current slot.")


PRICES: dict[str, Any] = {
    "operation_id": "list_prices",
    "tags": ["market"],
    "description": (
        "A pair's prices of the last minutes, evenly spaced, and the latest. To follow them, ask again with the same "
        "`minutes` and `points`, and `after` the last point's `at`: points never change. They show where the market "
        "and arbitrage put the pools, without what swaps left in them, which is gone after 24 slots. What a swap "
        "would get now is what `POST /api/quotes` answers."
    ),
    "parameters": [PriceFilter],
    "responses": {
        200: OpenApiResponse(
            PricesDocument,
            examples=[
                OpenApiExample(
                    "SOL in USDC",
                    value={
                        "tokenIn": "SOL",
                        "tokenOut": "USDC",
                        "stepMs": 6_000,
                        "points": [_POINT],
                        "latest": _LATEST,
                    },
                )
            ],
        ),
        400: problem("A parameter is missing, unknown, or has no such value."),
        **REFUSED,
        503: problem(
            "See Retry-After. TOO_MANY_PRICES: other prices are being worked out. DATABASE_UNAVAILABLE: the database "
            "can't be reached now. RPC_UNAVAILABLE: nor the chain, which tells the time."
        ),
    },
}
