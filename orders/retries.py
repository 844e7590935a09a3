"""What follows an attempt that came to nothing: another one after a back-off, or the end.

The journal keeps the count.
"""

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

from orders.journal import AttemptChange, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order
from orders.stream import error_as_json

MAX_ATTEMPTS = 4
BACK_OFF_S = 1


Retry = tuple[UUID, float]
"""An order that has another attempt coming, after so many seconds."""


def back_off_s(attempt: int, *, jitter: Callable[[], float] = random.random) -> float:
    """1 s, 2 s, 4 s after the first, second, third attempt, each × 0.8–1.0, so that no herd returns at once."""
    return float(BACK_OFF_S * 2 ** (attempt - 1) * (0.8 + 0.2 * jitter()))


def after_failure(
    order: Order, *, code: str, sentence: str, retryable: bool, ended: AttemptChange | None
) -> Transition:
    """The transition that ends the order's current attempt and says what comes next.

    `ended` is the attempt's own end, None when the order has no attempt yet. The caller has the proof that nothing of
    this attempt can land any more.
    """
    if order.cancel_requested_at:
        return _cancelled(order, f"Cancelled as requested: {sentence}", ended)
    if not retryable:
        return _failed(order, code, sentence, retryable=False, ended=ended)
    if order.attempt >= MAX_ATTEMPTS:
        exhausted = f"All {MAX_ATTEMPTS} attempts came to nothing. The last: {sentence}"
        return _failed(order, code, exhausted, retryable=True, ended=ended)
    delay_s = back_off_s(order.attempt)
    return Transition.of(
        order,
        status=Status.ROUTING,
        message=f"Attempt {order.attempt} came to nothing: {sentence} "
        f"Attempt {order.attempt + 1} follows in {delay_s:.1f} s.",
        due_in_s=delay_s,
        details={
            "error": error_as_json(code, sentence, retryable=True),
            "nextAttemptInS": round(delay_s, 3),
        },
        attempt=ended,
        opens_attempt=True,
        releases=True,
        in_doubt=False,
    )


def _failed(
    order: Order, code: str, sentence: str, *, retryable: bool, ended: AttemptChange | None
) -> Transition:
    return Transition.of(
        order,
        status=Status.FAILED,
        message=sentence,
        due_in_s=None,
        details={"error": error_as_json(code, sentence, retryable=retryable)},
        attempt=ended,
        error_code=code,
        error_message=sentence,
        error_retryable=retryable,
        in_doubt=False,
    )


def _cancelled(order: Order, sentence: str, ended: AttemptChange | None) -> Transition:
    return Transition.of(
        order,
        status=Status.CANCELLED,
        message=sentence,
        due_in_s=None,
        attempt=ended,
        in_doubt=False,
    )


def nothing_was_sent(
    code: str, sentence: str, *, quotes: list[dict[str, Any]] | None
) -> AttemptChange:
    """The end of an attempt that never reached `submitted`, with the quotes if it failed over them."""
    return AttemptChange(
        state=AttemptState.FAILED, error_code=code, error_message=sentence, quotes=quotes
    )
