"""Cancelling over REST."""

import pytest
from django.conf import LazySettings

from orders.lifecycle import Status
from orders.models import Account, OrderEvent
from tests.api.client import Api, assert_problem
from tests.factories import order_at, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_cancel_before_submitted_wins(api: Api, account: Account) -> None:
    order = order_at(Status.BUILDING, account)

    response = api.post(f"/api/orders/{order.id}/cancel")

    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    assert api.post(f"/api/orders/{order.id}/cancel").status_code == 202  # safe to repeat


def test_a_cancel_after_submitted_is_asked_for(api: Api, account: Account) -> None:
    order = order_at(Status.SUBMITTED, account)

    response = api.post(f"/api/orders/{order.id}/cancel")

    assert response.status_code == 202
    assert (response.json()["status"], response.json()["cancelRequested"]) == ("submitted", True)
    assert OrderEvent.objects.get(order=order, seq=5).details == {"cancelRequested": True}


def test_while_execution_is_halted_nothing_is_known_to_be_unsent(
    api: Api, account: Account, settings: LazySettings
) -> None:
    settings.EXECUTION = "halted"
    order = order_at(Status.ROUTING, account)

    response = api.post(f"/api/orders/{order.id}/cancel")

    problem = assert_problem(response, 503, stored=1)
    assert (problem["code"], problem["retryable"]) == ("EXECUTION_HALTED", True)
    assert statuses(order)[-1] == "routing"


def test_an_order_that_has_ended_cannot_be_cancelled(api: Api, account: Account) -> None:
    order = order_at(Status.CONFIRMED, account)

    response = api.post(f"/api/orders/{order.id}/cancel")

    assert assert_problem(response, 409, stored=1)["code"] == "ALREADY_FINAL"
