"""Many orders in one request, each for itself: what is wrong with one stops no other."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from orders import intake
from orders.api.fields import KnownFieldsSerializer
from orders.api.problems import RETRY_AFTER_S, FieldError, Problem, answer_to
from orders.api.submission import SubmitSerializer, checked, refusal
from orders.intake import Placed
from orders.journal import NewOrder, OutcomeUnknown
from orders.models import Account
from orders.order_json import order_as_json

MOST_ORDERS = 500


class _UncheckedList(serializers.ListField):
    """`child` is there to be documented: the items are checked one by one, later."""

    def run_child_validation(self, data: Any) -> Any:
        return data


class BatchSerializer(KnownFieldsSerializer):
    """Orders that are answered each for itself. Those with a `clientOrderId` are safe to repeat."""

    orders = _UncheckedList(
        child=SubmitSerializer(),
        min_length=1,
        max_length=MOST_ORDERS,
        error_messages={
            "not_a_list": "must be a list of orders.",
            "min_length": "must have at least {min_length} order.",
            "max_length": "may have at most {max_length} orders.",
        },
    )


_batch = BatchSerializer()


def orders_in(body: object) -> Sequence[object]:
    """What the batch lists, unchecked. Raises ValidationError."""
    listed: Sequence[object] = _batch.run_validation(body)["orders"]
    return listed


def submit_batch(account: Account, orders: Sequence[object]) -> list[Placed | Exception]:
    """Check and place each order; one that is refused is answered with why.

    Raises Problem (OUTCOME_UNKNOWN) when some may be stored and nobody can tell which.
    """
    wishes = [_checked(account, body) for body in orders]
    to_place = [wish for wish in wishes if isinstance(wish, NewOrder)]
    try:
        answers = iter(intake.place_orders(to_place))
    except OutcomeUnknown as error:
        raise _outcome_unknown(wishes) from error
    return [next(answers) if isinstance(wish, NewOrder) else wish for wish in wishes]


def _checked(account: Account, body: object) -> NewOrder | Problem | ValidationError:
    if not isinstance(body, dict):
        return Problem(400, "NOT_AN_OBJECT", "An order must be a JSON object.")
    try:
        return checked(account, body)
    except (Problem, ValidationError) as error:
        return error


def _outcome_unknown(wishes: Sequence[object]) -> Problem:
    unnamed = [
        FieldError(f"orders[{index}]", "OUTCOME_UNKNOWN", f"Its orderId would be {wish.id}.")
        for index, wish in enumerate(wishes)
        if isinstance(wish, NewOrder) and not wish.client_order_id
    ]
    if unnamed:
        advice = (
            "`errors` tells of each order without a clientOrderId under which orderId to look for it in "
            "GET /api/orders, once the database is back. Those with one are safe to send again."
        )
    else:
        advice = (
            "Repeat the request as it is: the clientOrderIds keep orders from being placed twice."
        )
    return Problem(
        503,
        "OUTCOME_UNKNOWN",
        f"The database broke off while the orders were being stored, so they may have been accepted. {advice}",
        errors=unnamed,
        retryable=not unnamed,
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def batch_as_json(
    answers: Sequence[Placed | Exception], *, path: str, streams_at: str
) -> dict[str, Any]:
    """The answers, in the order asked, and how many there are of each kind. `path` is for the log."""
    results = [
        {"index": index, **_result(answer, path=path, streams_at=streams_at)}
        for index, answer in enumerate(answers)
    ]
    statuses = Counter(result["status"] for result in results)
    accepted, replayed = statuses[201], statuses[200]
    return {
        "accepted": accepted,
        "replayed": replayed,
        "refused": len(results) - accepted - replayed,
        "results": results,
    }


def _result(answer: Placed | Exception, *, path: str, streams_at: str) -> dict[str, Any]:
    match answer:
        case Placed(order, replayed):
            shown = {**order_as_json(order), "streamUrl": f"{streams_at}{order.id}"}
            return {"status": 200 if replayed else 201, "order": shown}
        case _:
            problem = answer_to(refusal(answer), path=path)
            return {"status": problem.status, "problem": problem.as_json()}
