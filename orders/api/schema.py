"""What the OpenAPI document says of each address. The shapes of answers; what comes in is `submission`'s serializer."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from orders.api.batch import BatchSerializer
from orders.api.filters import OrderFilter
from orders.api.submission import CLIENT_ORDER_ID, SubmitSerializer
from orders.lifecycle import Status

STATUSES = [status.value for status in Status]


class ErrorDocument(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    retryable = serializers.BooleanField()


class FieldErrorDocument(serializers.Serializer[Any]):
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemDocument(serializers.Serializer[Any]):
    """RFC 9457. `code` is stable; `retryable` says whether the same request may succeed later."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    retryable = serializers.BooleanField()
    errors = FieldErrorDocument(many=True, required=False)  # type: ignore[assignment]


class InDoubtDocument(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    nextCheckAt = serializers.DateTimeField(allow_null=True)


class OrderDocument(serializers.Serializer[Any]):
    orderId = serializers.UUIDField()
    clientOrderId = serializers.RegexField(CLIENT_ORDER_ID, allow_null=True)
    status = serializers.ChoiceField(choices=STATUSES)
    seq = serializers.IntegerField(help_text="The last event's.")
    orderType = serializers.ChoiceField(choices=["market"])
    tokenIn = serializers.CharField()
    tokenOut = serializers.CharField()
    amount = serializers.CharField(help_text="Whole tokens, exact.")
    slippageBps = serializers.IntegerField()
    quoteId = serializers.UUIDField(allow_null=True, help_text="The quote that the order names.")
    attempt = serializers.IntegerField(help_text="0 before the first.")
    selectedDex = serializers.CharField(allow_null=True, help_text="The last attempt's.")
    txHash = serializers.CharField(allow_null=True, help_text="The last attempt's.")
    minAmountOut = serializers.CharField(
        allow_null=True, help_text="The quote's, if the order names one; else the first attempt's."
    )
    amountOut = serializers.CharField(allow_null=True)
    executedPrice = serializers.CharField(allow_null=True, help_text="tokenOut for one tokenIn.")
    error = ErrorDocument(allow_null=True)
    inDoubt = InDoubtDocument(allow_null=True)
    cancelRequested = serializers.BooleanField()
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()


class PlacedOrderDocument(OrderDocument):
    streamUrl = serializers.CharField(help_text="A WebSocket that streams the order.")


class BatchResultDocument(serializers.Serializer[Any]):
    """Either `order` or `problem`."""

    index = serializers.IntegerField(help_text="Which of the orders asked, from 0.")
    status = serializers.IntegerField(
        help_text="What execute would have answered: 201 accepted, 200 accepted earlier, or the problem's."
    )
    order = PlacedOrderDocument(required=False)
    problem = ProblemDocument(required=False)


class BatchDocument(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    replayed = serializers.IntegerField(help_text="Accepted earlier under their clientOrderId.")
    refused = serializers.IntegerField()
    results = BatchResultDocument(many=True, help_text="In the order asked.")


class LegDocument(serializers.Serializer[Any]):
    """One swap in one pool. The legs of a hop go side by side; the next hop takes in what it pays."""

    hop = serializers.IntegerField(help_text="From 1.")
    venue = serializers.CharField()
    pool = serializers.CharField()
    tokenIn = serializers.CharField()
    tokenOut = serializers.CharField()
    amountIn = serializers.CharField(help_text="As quoted.")
    amountOut = serializers.CharField(help_text="As quoted, after the fee.")
    fee = serializers.CharField(help_text="The pool's, in tokenIn.")
    sharePct = serializers.FloatField(help_text="Of what its hop takes in.")


class QuoteDocument(serializers.Serializer[Any]):
    """One way of executing an order, or why there is none."""

    venue = serializers.CharField(help_text="Several are joined by a +.")
    chosen = serializers.BooleanField()
    pools = serializers.ListField(child=serializers.CharField(), required=False)
    amountOut = serializers.CharField(required=False)
    netAmountOut = serializers.CharField(
        required=False, help_text="After the network's fee and the cost of each leg."
    )
    priceImpactBps = serializers.IntegerField(required=False)
    lostBecause = serializers.CharField(required=False)
    error = serializers.DictField(required=False)


class ExecutionCostDocument(serializers.Serializer[Any]):
    """referenceValue - received = spread + fee + priceImpact - improvement + drift + networkFee, exactly."""

    referenceValue = serializers.CharField(help_text="The amount at the market's prices.")
    received = serializers.CharField(help_text="Less the network's fee.")
    spread = serializers.CharField(help_text="How far the best single pool stood from the market.")
    fee = serializers.CharField(help_text="Of the best single pool.")
    priceImpact = serializers.CharField(help_text="In the best single pool.")
    improvement = serializers.CharField(help_text="What the route was quoted more than that pool.")
    drift = serializers.CharField(help_text="What the pools moved until the swap landed.")
    networkFee = serializers.CharField()


class AttemptDocument(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    state = serializers.CharField()
    venue = serializers.CharField(allow_null=True)
    legs = LegDocument(many=True, help_text="The chosen route.")
    quotes = QuoteDocument(many=True, help_text="Every way that was weighed.")
    receipt = serializers.DictField(
        allow_null=True,
        help_text="What the decision rests on: the venues' answers with the slot of each pool's state, prices, costs.",
    )
    cost = ExecutionCostDocument(allow_null=True, help_text="Of a fill, in whole tokenOut.")
    minAmountOut = serializers.CharField(allow_null=True)
    amountOut = serializers.CharField(allow_null=True)
    txHash = serializers.CharField(allow_null=True)
    lastValidBlockHeight = serializers.IntegerField(allow_null=True)
    error = serializers.DictField(allow_null=True)
    proof = serializers.DictField(allow_null=True)
    startedAt = serializers.DateTimeField()
    sentAt = serializers.DateTimeField(allow_null=True)
    endedAt = serializers.DateTimeField(allow_null=True)


class ResolutionDocument(serializers.Serializer[Any]):
    """Which two people ended an order in doubt by hand, and on what evidence."""

    by = serializers.CharField(help_text="Who proposed it.")
    reason = serializers.CharField()
    evidence = serializers.CharField()
    confirmedBy = serializers.CharField(required=False, help_text="Who looked at it again.")
    confirmation = serializers.CharField(required=False, help_text="What they said to it.")


class CancellationDocument(serializers.Serializer[Any]):
    """Who cancelled an order that is not theirs, and why."""

    by = serializers.CharField()
    reason = serializers.CharField()


class EventDocument(serializers.Serializer[Any]):
    """Also what the stream sends. Optional fields are there when the event has something to say of them."""

    type = serializers.ChoiceField(choices=["order.event"])
    orderId = serializers.UUIDField()
    seq = serializers.IntegerField()
    status = serializers.ChoiceField(choices=STATUSES)
    attempt = serializers.IntegerField()
    timestamp = serializers.DateTimeField()
    message = serializers.CharField()
    quoteId = serializers.UUIDField(required=False)
    minAmountOut = serializers.CharField(required=False)
    selectedDex = serializers.CharField(required=False)
    legs = LegDocument(many=True, required=False)
    quotes = QuoteDocument(many=True, required=False)
    txHash = serializers.CharField(required=False)
    executedPrice = serializers.CharField(required=False)
    amountOut = serializers.CharField(required=False)
    error = ErrorDocument(required=False)
    nextAttemptInS = serializers.FloatField(
        required=False, help_text="How long the attempt that this event opens backs off first."
    )
    inDoubt = InDoubtDocument(required=False, allow_null=True)
    cancelRequested = serializers.BooleanField(required=False)
    cancellation = CancellationDocument(required=False)
    resolution = ResolutionDocument(required=False)
    proofHash = serializers.CharField(
        required=False, help_text="SHA-256 of the proof that the event's attempt ended with."
    )


class OrderWithHistoryDocument(OrderDocument):
    attempts = AttemptDocument(many=True)
    events = EventDocument(many=True)


class LatencyDocument(serializers.Serializer[Any]):
    mean = serializers.FloatField()
    max = serializers.IntegerField()


class RecentDocument(serializers.Serializer[Any]):
    """What all workers together heard. What says nothing of a venue that was not asked is null."""

    windowS = serializers.IntegerField(help_text="How far back, in seconds.")
    asked = serializers.IntegerField(
        help_text="How often: once for all orders that are executed together and want the same pools."
    )
    failed = serializers.IntegerField(
        help_text="Late, or an error that may pass. To have no pool is no failure."
    )
    errorRate = serializers.FloatField(allow_null=True, help_text="failed of asked, 0 to 1.")
    latencyMs = LatencyDocument(
        allow_null=True, help_text="An answer that came too late counts as the quote deadline."
    )
    winRate = serializers.FloatField(
        allow_null=True,
        help_text="How many went through it of the orders that its pools were weighed for, 0 to 1.",
    )


class VenueDocument(serializers.Serializer[Any]):
    venue = serializers.CharField(help_text="As in selectedDex.")
    name = serializers.CharField()
    programId = serializers.CharField()
    state = serializers.ChoiceField(
        choices=["active", "setAside"],
        help_text="A venue that keeps failing is set aside: orders go to the others until a probe is answered.",
    )
    setAsideUntil = serializers.DateTimeField(
        allow_null=True, help_text="When it is probed next; taken back if that goes well."
    )
    recent = RecentDocument()


def problem(sentence: str) -> OpenApiResponse:
    return OpenApiResponse(ProblemDocument, description=sentence)


REFUSED = {
    401: problem("No valid API key."),
    503: problem("The database can't be reached now; see Retry-After."),
}
UNKNOWN_ORDER = {400: problem("Not an order id."), 404: problem("No such order of this account.")}

EXECUTE: dict[str, Any] = {
    "operation_id": "execute_order",
    "tags": ["orders"],
    "request": SubmitSerializer,
    "parameters": [
        OpenApiParameter(
            "Idempotency-Key",
            str,
            OpenApiParameter.HEADER,
            description="The same as clientOrderId in the body.",
        )
    ],
    "responses": {
        201: OpenApiResponse(PlacedOrderDocument, description="Accepted, durably."),
        200: OpenApiResponse(
            PlacedOrderDocument, description="Accepted earlier under this clientOrderId."
        ),
        400: problem("Something is wrong with the body; `errors` names the fields."),
        413: problem("The body is too large."),
        415: problem("The body is not application/json."),
        422: problem(
            "IDEMPOTENCY_CONFLICT: this clientOrderId was used for another order. QUOTE_EXPIRED: the quote is too old; "
            "ask for a new one."
        ),
        429: problem("Too many orders and quotes; see Retry-After."),
        **REFUSED,
        503: problem(
            "See Retry-After. DATABASE_UNAVAILABLE: nothing was stored, so try again. OUTCOME_UNKNOWN: the order may "
            "have been accepted. It is `retryable` with a clientOrderId, which keeps the order from being placed "
            "twice; without one, look for the order in the list before you place it again."
        ),
    },
}
BATCH: dict[str, Any] = {
    "operation_id": "execute_batch",
    "tags": ["orders"],
    "description": (
        "Submit up to 500 orders, each for itself: there is no all or nothing. 200 says that each has its answer in "
        "`results`, even if all were refused. An order with a clientOrderId is safe to repeat, in another batch, in "
        "the same one, or on its own. A batch counts as its number of orders against the account's rate limit."
    ),
    "request": BatchSerializer,
    "responses": {
        200: OpenApiResponse(BatchDocument, description="Each order has its own answer."),
        400: problem(
            "Nothing was stored: the body is no list of 1 to 500 orders, or there was an Idempotency-Key."
        ),
        413: problem("The body is too large: a batch may have 512 KiB."),
        415: problem("The body is not application/json."),
        429: problem(
            "The batch doesn't fit what the account may still submit now; nothing was stored or counted. See "
            "Retry-After. Not `retryable`: it is larger than all that the account may submit at a time."
        ),
        **REFUSED,
        503: problem(
            "See Retry-After. DATABASE_UNAVAILABLE: nothing was stored, so try again. OUTCOME_UNKNOWN: orders may have "
            "been accepted. It is `retryable` if each has a clientOrderId; otherwise `errors` names the orderIds to "
            "look for."
        ),
    },
}
ORDER_LIST: dict[str, Any] = {
    "operation_id": "list_orders",
    "tags": ["orders"],
    "parameters": [OrderFilter],
    "responses": {
        200: inline_serializer(
            "OrderPage",
            {
                "orders": OrderDocument(many=True),
                "next": serializers.URLField(allow_null=True),
                "previous": serializers.URLField(allow_null=True),
            },
        ),
        400: problem("A parameter is unknown or has no such value."),
        **REFUSED,
    },
}
ORDER_DETAIL: dict[str, Any] = {
    "operation_id": "get_order",
    "tags": ["orders"],
    "responses": {200: OrderWithHistoryDocument, **UNKNOWN_ORDER, **REFUSED},
}
CANCEL: dict[str, Any] = {
    "operation_id": "cancel_order",
    "tags": ["orders"],
    "request": None,
    "responses": {
        202: OpenApiResponse(
            OrderDocument, description="Cancelled, or asked for: the stream tells which."
        ),
        409: problem("The order has ended already."),
        **UNKNOWN_ORDER,
        **REFUSED,
        503: problem(
            "The database can't be reached, or execution is halted after a restore (`EXECUTION_HALTED`)."
        ),
    },
}
STREAM_TICKET: dict[str, Any] = {
    "operation_id": "create_stream_ticket",
    "tags": ["stream"],
    "request": None,
    "responses": {
        201: inline_serializer(
            "StreamTicket",
            {"ticket": serializers.CharField(), "expiresAt": serializers.DateTimeField()},
        ),
        **REFUSED,
    },
}
TOKENS: dict[str, Any] = {
    "operation_id": "list_tokens",
    "tags": ["market"],
    "responses": {
        200: inline_serializer(
            "Tokens",
            {
                "tokens": inline_serializer(
                    "Token",
                    {
                        "symbol": serializers.CharField(),
                        "name": serializers.CharField(),
                        "mint": serializers.CharField(),
                        "decimals": serializers.IntegerField(),
                    },
                    many=True,
                )
            },
        ),
        **REFUSED,
    },
}
VENUES: dict[str, Any] = {
    "operation_id": "list_venues",
    "tags": ["market"],
    "responses": {
        200: inline_serializer("Venues", {"venues": VenueDocument(many=True)}),
        **REFUSED,
    },
}
