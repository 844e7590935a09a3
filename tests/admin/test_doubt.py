"""An operator ends an order that is in doubt: with evidence, with a reason, in their own name, and only then."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from orders import intake, resolution
from orders.inflight import Sent
from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from tests.admin.console import ORDERS, on_real_commits, order_page, staff, text_of
from tests.factories import move, place, statuses

pytestmark = on_real_commits

GOOD = {"evidence": "explorer.example/tx/1", "reason": "The cluster was reset."}


@pytest.fixture
def doubtful(dropped: Sent) -> Order:
    order = Order.objects.get(id=dropped.order_id)
    move(order, Status.SUBMITTED, message="No node knows.", in_doubt=True, next_check_in_s=1.0)
    order.refresh_from_db()
    return order


def page_of(order: Order) -> str:
    return f"{ORDERS}{order.id}/doubt/"


def end(visitor: Client, order: Order, **answers: str) -> Any:
    return visitor.post(page_of(order), GOOD | answers, follow=True)


def test_only_an_order_in_doubt_offers_it_and_only_to_who_may(
    root: Client, auditor: Client, doubtful: Order, account: Account
) -> None:
    assert page_of(doubtful) in root.get(order_page(doubtful)).content.decode()
    assert page_of(doubtful) not in auditor.get(order_page(doubtful)).content.decode()
    other = place(account)
    assert page_of(other) not in root.get(order_page(other)).content.decode()


def test_without_the_permission_nothing_is_shown_and_nothing_changes(
    auditor: Client, doubtful: Order
) -> None:
    before = statuses(doubtful)

    assert auditor.get(page_of(doubtful)).status_code == 403
    assert auditor.post(page_of(doubtful), GOOD | {"outcome": "dead"}).status_code == 403

    assert statuses(doubtful) == before


def test_the_page_tells_what_is_known(root: Client, doubtful: Order) -> None:
    text = text_of(root.get(page_of(doubtful)))

    assert "No node knows." in text
    assert doubtful.tx_hash in text
    assert "Can land up to block height" in text


def test_a_permission_of_its_own_is_enough(doubtful: Order) -> None:
    operator = staff("operator", "view_order", "resolve_order")

    assert "The order is failed now" in text_of(end(operator, doubtful, outcome="dead"))


def test_what_never_landed_fails_with_the_evidence_as_its_proof(
    root: Client, doubtful: Order
) -> None:
    end(root, doubtful, outcome="dead")

    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.error_code) == ("failed", resolution.CODE)
    assert (doubtful.error_retryable, doubtful.in_doubt_since) == (True, None)
    record = {"by": "root", **GOOD}
    attempt = OrderAttempt.objects.get(order=doubtful)
    assert (attempt.state, attempt.proof) == ("dead", {"kind": "operator"} | record)
    event = OrderEvent.objects.filter(order=doubtful).latest("seq")
    assert event.details["resolution"] == record
    assert event.details["error"]["code"] == resolution.CODE
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("root", str(doubtful.id))
    assert GOOD["reason"] in entry.change_message


def test_what_was_to_be_cancelled_and_never_landed_is_cancelled(
    root: Client, doubtful: Order
) -> None:
    intake.cancel_order(doubtful.id, account_id=doubtful.account_id)

    end(root, doubtful, outcome="dead")

    assert statuses(doubtful)[-1] == "cancelled"


def test_what_landed_is_confirmed_with_what_was_received(
    root: Client, doubtful: Order, api_key: str, client: Client
) -> None:
    end(root, doubtful, outcome="landed", amount_out="235.5")

    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.amount_out_base) == ("confirmed", 235_500_000)
    shown = client.get(
        f"/api/orders/{doubtful.id}", headers={"Authorization": f"Bearer {api_key}"}
    ).json()
    assert (shown["amountOut"], shown["executedPrice"]) == ("235.5", "157")
    assert shown["events"][-1]["resolution"] == {"by": "root", **GOOD}


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"outcome": ""}, "This field is required"),
        ({"outcome": "landed"}, "Say how much was received"),
        ({"outcome": "landed", "amount_out": "0"}, "Say how much was received"),
        ({"outcome": "landed", "amount_out": "-1"}, "greater than or equal to 0"),
        ({"outcome": "landed", "amount_out": "much"}, "Enter a number"),
        ({"outcome": "landed", "amount_out": "1.0000001"}, "decimals"),
        ({"outcome": "landed", "amount_out": "9" * 30}, "too large"),
        ({"outcome": "dead", "amount_out": "1"}, "Nothing is received"),
        ({"outcome": "dead", "evidence": " "}, "This field is required"),
        ({"outcome": "dead", "reason": ""}, "This field is required"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_at_its_field(
    root: Client, doubtful: Order, answers: dict[str, str], complaint: str
) -> None:
    before = statuses(doubtful)

    response = root.post(page_of(doubtful), GOOD | answers)

    assert complaint in text_of(response)
    assert statuses(doubtful) == before


@pytest.mark.parametrize("outcome", ["dead", "landed"])
def test_when_the_chain_was_first_nothing_is_changed(
    root: Client, doubtful: Order, outcome: str
) -> None:
    move(doubtful, Status.CONFIRMED)
    before = statuses(doubtful)

    text = text_of(end(root, doubtful, outcome=outcome, amount_out="1" * (outcome == "landed")))

    assert "Nothing was changed. The order is confirmed" in text
    assert statuses(doubtful) == before
    assert not LogEntry.objects.exists()


def test_the_worker_that_was_asking_lets_go(root: Client, doubtful: Order, dropped: Sent) -> None:
    end(root, doubtful, outcome="dead")

    assert Order.objects.get(id=doubtful.id).fence == dropped.fence + 1
