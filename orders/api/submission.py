"""From a request body to an order: what a client sends is checked here, for REST and sockets alike."""

import re
from decimal import Decimal
from typing import Any

from django.conf import settings
from rest_framework import serializers

from orders import intake
from orders.api.fields import (
    AmountField,
    KnownFieldsSerializer,
    StrictCharField,
    StrictIntegerField,
    StrictUUIDField,
    TokenField,
)
from orders.api.parsers import parse_object
from orders.api.problems import RETRY_AFTER_S, Problem
from orders.intake import IdempotencyConflict, Placed
from orders.journal import NewOrder, OutcomeUnknown
from orders.models import Account
from orders.stored_quotes import QuoteExpired, QuoteMismatch, QuoteNotFound, QuoteRefused
from routing.tokens import TOKENS, from_base, to_base

CLIENT_ORDER_ID = r"^[A-Za-z0-9_.:-]{1,64}\Z"
DEFAULT_SLIPPAGE_BPS = 50
MAX_SLIPPAGE_BPS = 5000


class SwapSerializer(KnownFieldsSerializer):
    """What can be quoted, and ordered: exactly `amount` of `tokenIn` for as much `tokenOut` as the best venue pays."""

    tokenIn = TokenField(help_text="The symbol of the token to give.")
    tokenOut = TokenField(help_text="The symbol of the token to receive.")
    amount = AmountField(
        help_text='How much of tokenIn, in whole tokens, as a decimal string: "1.5".'
    )
    slippageBps = StrictIntegerField(
        min_value=0,
        max_value=MAX_SLIPPAGE_BPS,
        required=False,
        help_text=f"How far below the quote the fill may be, in basis points; {DEFAULT_SLIPPAGE_BPS} unless said. "
        "No retry ever loosens it.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["tokenIn"] == attrs["tokenOut"]:
            raise _field_error("tokenOut", "same_token", "must differ from tokenIn.")
        attrs["amount_in_base"] = self._amount_in_base(attrs["amount"], attrs["tokenIn"])
        return attrs

    def _amount_in_base(self, amount: Decimal, symbol: str) -> int:
        token = TOKENS[symbol]
        if amount > settings.MAX_ORDER_AMOUNT:
            raise _field_error(
                "amount", "too_large", f"may be at most {settings.MAX_ORDER_AMOUNT:f}."
            )
        if -int(amount.as_tuple().exponent) > token.decimals:
            raise _field_error(
                "amount",
                "too_many_decimals",
                f"may have at most {token.decimals} decimals for {symbol}.",
            )
        amount_in_base = to_base(amount, token)
        if amount_in_base >= 2**64:
            most = from_base(2**64 - 1, token)
            raise _field_error(
                "amount",
                "too_large",
                f"may be at most {most}, the most a swap of {symbol} can carry.",
            )
        return amount_in_base


class SubmitSerializer(SwapSerializer):
    """A market order: swap exactly `amount` of `tokenIn` for as much `tokenOut` as the best venue pays."""

    orderType = serializers.ChoiceField(choices=["market"])
    clientOrderId = StrictCharField(
        CLIENT_ORDER_ID,
        required=False,
        help_text="Makes the request safe to repeat: 1 to 64 of A-Z a-z 0-9 _ . : -",
        error_messages={"invalid": "must be 1 to 64 of A-Z a-z 0-9 _ . : -"},
    )
    quoteId = StrictUUIDField(
        required=False,
        help_text="A quote of POST /api/quotes for the same tokens and amount, not older than it says. The order never "
        "accepts less than the quote's minAmountOut, and takes slippageBps from it.",
        error_messages={"invalid": "must be a quoteId as POST /api/quotes answers it."},
    )


# One for all: making its fields anew for each request would take longer than checking them, and they keep nothing.
_submit = SubmitSerializer()


def submit(account: Account, body: object, *, idempotency_key: str | None) -> Placed:
    """Check the body (as received, or parsed) and place the order.

    Raises Problem or ValidationError; nothing is stored then, unless the problem is OUTCOME_UNKNOWN.
    """
    new = checked(
        account,
        parse_object(body) if isinstance(body, bytes) else body,
        idempotency_key=idempotency_key,
    )
    try:
        return intake.place_order(new)
    except (IdempotencyConflict, QuoteRefused) as error:
        raise refusal(error) from error
    except OutcomeUnknown as error:
        raise _outcome_unknown(new) from error


def checked(account: Account, body: object, *, idempotency_key: str | None = None) -> NewOrder:
    """What the client asked for. Raises Problem or ValidationError."""
    valid = _submit.run_validation(body)
    quote_id = valid.get("quoteId")
    return NewOrder(
        account_id=account.pk,
        client_order_id=_client_order_id(valid.get("clientOrderId"), idempotency_key),
        order_type=valid["orderType"],
        token_in=valid["tokenIn"],
        token_out=valid["tokenOut"],
        amount_in_base=valid["amount_in_base"],
        slippage_bps=valid.get("slippageBps", None if quote_id else DEFAULT_SLIPPAGE_BPS),
        quote_id=quote_id,
    )


def refusal(error: Exception) -> Exception:
    """What the client is to be told of an order that wasn't placed; what isn't known here as it is."""
    match error:
        case IdempotencyConflict():
            return Problem(422, "IDEMPOTENCY_CONFLICT", str(error), field="clientOrderId")
        case QuoteExpired():
            return Problem(422, "QUOTE_EXPIRED", str(error), field="quoteId")
        case QuoteNotFound():
            return _field_error("quoteId", "quote_not_found", str(error))
        case QuoteMismatch(differing=differing):
            return serializers.ValidationError(
                {
                    field: [serializers.ErrorDetail(f"is {quoted} in the quote.", "quote_mismatch")]
                    for field, quoted in differing.items()
                }
            )
    return error


def _outcome_unknown(new: NewOrder) -> Problem:
    broke = "The database broke off while the order was being stored, so it may have been accepted."
    if new.client_order_id:
        advice = "Repeat the request as it is: its clientOrderId keeps it from being placed twice."
    else:
        advice = (
            f"If it was, its orderId is {new.id}: look for it in GET /api/orders once the database is back, before "
            "you place it again. With a clientOrderId, or an Idempotency-Key, a request is safe to repeat."
        )
    return Problem(
        503,
        "OUTCOME_UNKNOWN",
        f"{broke} {advice}",
        retryable=bool(new.client_order_id),
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _client_order_id(in_body: str | None, in_header: str | None) -> str | None:
    if in_header is not None and not re.match(CLIENT_ORDER_ID, in_header):
        raise Problem(
            400,
            "INVALID_IDEMPOTENCY_KEY",
            "must be 1 to 64 of A-Z a-z 0-9 _ . : -",
            field="Idempotency-Key",
        )
    if in_body and in_header and in_body != in_header:
        raise Problem(
            400,
            "IDEMPOTENCY_KEY_MISMATCH",
            "clientOrderId and Idempotency-Key must not differ.",
            field="Idempotency-Key",
        )
    return in_body or in_header


def _field_error(field: str, code: str, message: str) -> serializers.ValidationError:
    return serializers.ValidationError({field: [serializers.ErrorDetail(message, code)]})
