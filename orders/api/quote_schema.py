"""What the OpenAPI document says of quotes."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from orders.api.quotes import QuoteSerializer
from orders.api.schema import REFUSED, LegDocument, QuoteDocument, problem

_ANSWER = {
    "quoteId": "019aa3f1-2b4c-7d5e-8f60-0123456789ab",
    "tokenIn": "SOL",
    "tokenOut": "USDC",
    "amount": "1.5",
    "slippageBps": 50,
    "amountOut": "208.758846",
    "netAmountOut": "208.755362",
    "minAmountOut": "207.715052",
    "referenceValue": "208.95795",
    "priceImpactBps": 0,
    "networkFee": "0.000697",
    "legs": [
        {
            "hop": 1,
            "venue": "meteora",
            "pool": "3SFQjmDsi5NsjJeZfz7fgJ6VddX3TcuZkv2eUibWJN8N",
            "tokenIn": "SOL",
            "tokenOut": "USDC",
            "amountIn": "1.5",
            "amountOut": "208.758846",
            "fee": "0.003012",
            "sharePct": 100.0,
        }
    ],
    "quotes": [
        {
            "venue": "meteora",
            "chosen": True,
            "pools": ["3SFQjmDsi5NsjJeZfz7fgJ6VddX3TcuZkv2eUibWJN8N"],
            "amountOut": "208.758846",
            "netAmountOut": "208.755362",
            "priceImpactBps": 0,
        },
        {
            "venue": "raydium",
            "chosen": False,
            "error": {
                "code": "QUOTE_TIMEOUT",
                "message": "Raydium did not answer within 0.5 s",
            },
            "lostBecause": "no quote: Raydium did not answer within 0.5 s",
        },
    ],
    "createdAt": "2026-11-25T12:00:00.000000Z",
    "expiresAt": "2026-11-25T12:00:15.000000Z",
}


class IssuedQuoteDocument(serializers.Serializer[Any]):
    quoteId = serializers.UUIDField(help_text="For `quoteId` of an order.")
    tokenIn = serializers.CharField()
    tokenOut = serializers.CharField()
    amount = serializers.CharField(help_text="Whole tokens, exact.")
    slippageBps = serializers.IntegerField()
    amountOut = serializers.CharField(help_text="What the route would pay now.")
    netAmountOut = serializers.CharField(
        help_text="amountOut less networkFee and the cost of each leg: what routes are chosen by. It may be below 0."
    )
    minAmountOut = serializers.CharField(
        help_text="What an order that names the quote receives at least."
    )
    referenceValue = serializers.CharField(help_text="The amount at the market's prices.")
    priceImpactBps = serializers.IntegerField()
    networkFee = serializers.CharField(help_text="What the transaction costs, in tokenOut.")
    legs = LegDocument(many=True, help_text="The route that an order would take.")
    quotes = QuoteDocument(many=True, help_text="Every way that was weighed.")
    createdAt = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField(
        help_text="An order that names the quote is submitted, and begun by a worker, before."
    )


QUOTE: dict[str, Any] = {
    "operation_id": "create_quote",
    "tags": ["market"],
    "description": (
        "What a swap would yield now: the route that an order would take, and every way that was weighed. Nothing is "
        "reserved. An order that names the `quoteId` accepts no less than `minAmountOut`; it fails with QUOTE_EXPIRED "
        "if no worker has begun it by `expiresAt`. A quote counts as an order against the account's rate limit."
    ),
    "request": QuoteSerializer,
    "examples": [
        OpenApiExample(
            "1.5 SOL for USDC",
            value={"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5", "slippageBps": 50},
            request_only=True,
        ),
        OpenApiExample("A quote", value=_ANSWER, response_only=True, status_codes=["201"]),
    ],
    "responses": {
        201: OpenApiResponse(
            IssuedQuoteDocument, description="Quoted, and kept for an order to name."
        ),
        400: problem("Something is wrong with the body; `errors` names the fields."),
        413: problem("The body is too large."),
        415: problem("The body is not application/json."),
        422: problem(
            "No venue can execute this swap: NO_ROUTE, AMOUNT_TOO_SMALL, AMOUNT_TOO_LARGE or INSUFFICIENT_LIQUIDITY."
        ),
        429: problem("Too many orders and quotes; see Retry-After."),
        **REFUSED,
        503: problem(
            "See Retry-After. NO_QUOTE: no venue answered in time. TOO_MANY_QUOTES: other quotes are being made. "
            "DATABASE_UNAVAILABLE: the database can't be reached now."
        ),
    },
}
