"""From query parameters to a pair's prices of the last minutes, and from then on to the newer ones."""

import threading
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, Final

from django.conf import settings
from rest_framework import serializers

from orders.api.fields import KnownFieldsSerializer, ParameterIntegerField, TokenField
from orders.api.problems import RETRY_AFTER_S, Problem
from orders.exchange import exchange
from orders.market_looks import Look
from orders.price_history import Grid, price_history
from orders.quoting import as_sentence
from orders.stream import rfc3339
from routing.errors import Unavailable
from routing.tokens import TOKENS
from routing.venue import Pair

DEFAULT_MINUTES: Final = 15
MOST_MINUTES: Final = 24 * 60
DEFAULT_POINTS: Final = 150
MOST_POINTS: Final = 500

# So few slots are looked at on the side.
_FEW: Final = 10
# Looking at hundreds for the first time takes the processor for a good part of a second: most threads are for orders.
_room = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 4))

_NINE_DIGITS: Final = Context(prec=9)


class PriceFilter(KnownFieldsSerializer):
    """Query parameters. Values that can't be are refused, not ignored."""

    tokenIn = TokenField(help_text="The token whose price it is, like SOL.")
    tokenOut = TokenField(help_text="The token that prices are in, like USDC.")
    minutes = ParameterIntegerField(
        required=False,
        min_value=1,
        max_value=MOST_MINUTES,
        help_text=f"How far back; {DEFAULT_MINUTES} unless said.",
    )
    points = ParameterIntegerField(
        required=False,
        min_value=2,
        max_value=MOST_POINTS,
        help_text=f"At most so many, evenly spaced; {DEFAULT_POINTS} unless said.",
    )
    after = serializers.DateTimeField(
        required=False,
        help_text="Only points after this time: the last point's `at`, with the same minutes and points as before.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["tokenIn"] == attrs["tokenOut"]:
            raise serializers.ValidationError(
                {"tokenOut": [serializers.ErrorDetail("must differ from tokenIn.", "same_token")]}
            )
        return attrs


def prices(query: Mapping[str, str]) -> dict[str, Any]:
    """Check the parameters, and answer what the pair's prices have been.

    Raises Problem or ValidationError.
    """
    wanted = PriceFilter(data=query)
    wanted.is_valid(raise_exception=True)
    valid = wanted.validated_data
    pair = TOKENS[valid["tokenIn"]], TOKENS[valid["tokenOut"]]
    try:
        slot = exchange().current_slot()
        grid = Grid.of(
            newest_slot=slot,
            window_slots=valid.get("minutes", DEFAULT_MINUTES) * 60_000 // settings.MOCK_SLOT_MS,
            most_points=valid.get("points", DEFAULT_POINTS),
        )
        slots = [
            each
            for each in grid.slots
            if "after" not in valid or exchange().begins_at(each) > valid["after"]
        ]
    except Unavailable as error:
        raise _unavailable(error.code, as_sentence(error)) from error
    return {
        "tokenIn": pair[0].symbol,
        "tokenOut": pair[1].symbol,
        "stepMs": grid.step_slots * settings.MOCK_SLOT_MS,
        "points": [_as_json(look) for look in _looks(pair, slots)],
        "latest": _as_json(price_history().now(pair, slot)),
    }


def _looks(pair: Pair, slots: Sequence[int]) -> list[Look]:
    history = price_history()
    if history.unknown(pair, slots) <= _FEW:
        return history.looks(pair, slots)
    if not _room.acquire(blocking=False):
        raise _unavailable("TOO_MANY_PRICES", "Too many prices are being worked out just now.")
    try:
        return history.looks(pair, slots)
    finally:
        _room.release()


def _as_json(look: Look) -> dict[str, Any]:
    return {
        "at": rfc3339(exchange().begins_at(look.slot)),
        "slot": look.slot,
        "reference": _price(look.reference),
        "venues": {
            venue: {"low": _price(low), "high": _price(high)}
            for venue, (low, high) in look.bands.items()
        },
    }


def _price(price: Decimal) -> str:
    """To 9 significant digits, half to even."""
    return f"{_NINE_DIGITS.plus(price).normalize():f}"


def _unavailable(code: str, sentence: str) -> Problem:
    return Problem(503, code, sentence, retryable=True, headers={"Retry-After": str(RETRY_AFTER_S)})
