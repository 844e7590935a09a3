"""Cancel and requeue: by whoever may, for a reason, on record, and each order for itself."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from orders import intake, tasks
from orders.inflight import Sent
from orders.lifecycle import Status
from orders.models import Account, Order, OrderEvent
from tests.admin.console import ORDERS, on_real_commits, order_page, staff, text_of
from tests.factories import become_due, claim, move, order_at, place, statuses

pytestmark = on_real_commits

CANCEL, REQUEUE = f"{ORDERS}cancel/", f"{ORDERS}requeue/"
WHY = "The client phoned."


@pytest.fixture
def operator(db: None) -> Client:
    return staff("olga", "view_order", "cancel_order", "requeue_order")


@pytest.fixture
def hinted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whom the workers were told of."""
    hinted: list[Any] = []
    monkeypatch.setattr(tasks, "hint_soon", hinted.extend)
    return hinted


def act(visitor: Client, address: str, *orders: Order, reason: str = WHY) -> Any:
    return visitor.post(address, {"id": [order.id for order in orders], "reason": reason})


def tick(visitor: Client, action: str, orders: Sequence[Order]) -> Any:
    """In the list, and press Go."""
    chosen = {"action": action, "_selected_action": [order.id for order in orders], "index": "0"}
    return visitor.post(ORDERS, chosen, follow=True)


def backing_off(account: Account) -> Order:
    """An order whose first attempt came to nothing."""
    order = order_at(Status.ROUTING, account)
    move(order, Status.ROUTING, due_in_s=4.0, releases=True)
    order.refresh_from_db()
    return order


def test_an_order_that_sent_nothing_is_cancelled_in_the_operator_s_name(
    operator: Client, account: Account
) -> None:
    order = place(account)

    assert "Cancelled: nothing was sent" in text_of(act(operator, CANCEL, order))

    event = OrderEvent.objects.filter(order=order).latest("seq")
    assert event.status == Status.CANCELLED
    assert event.details["cancellation"] == {"by": "olga", "reason": WHY}
    assert f"Asked for by olga: {WHY}" in event.message
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("olga", str(order.id))
    assert WHY in entry.change_message


def test_of_a_submitted_order_the_chain_decides(operator: Client, unsent: Sent) -> None:
    order = Order.objects.get(id=unsent.order_id)

    assert "so the chain decides" in text_of(act(operator, CANCEL, order))

    order.refresh_from_db()
    assert (order.status, order.cancel_requested_at is None) == ("submitted", False)
    details = OrderEvent.objects.filter(order=order).latest("seq").details
    assert details["cancelRequested"] is True
    assert details["cancellation"]["by"] == "olga"


def test_what_was_asked_for_already_is_not_done_again_in_another_name(
    operator: Client, account: Account, unsent: Sent
) -> None:
    cancelled = place(account)
    for order_id in (cancelled.id, unsent.order_id):
        order = Order.objects.get(id=order_id)
        intake.cancel_order(order.id, account_id=order.account_id)
    before = OrderEvent.objects.count()

    told = text_of(act(operator, CANCEL, cancelled, Order.objects.get(id=unsent.order_id)))

    assert "Done for 0 of 2." in told
    assert "Nothing was changed. The order is cancelled already." in told
    assert "Nothing was changed. Its cancel was asked for already, and the chain decides." in told
    assert OrderEvent.objects.count() == before
    assert not LogEntry.objects.exists()


def test_several_are_ticked_and_each_is_told_of(operator: Client, account: Account) -> None:
    pending, failed = place(account), order_at(Status.FAILED, account)
    untouched = place(account)

    asked = tick(operator, "cancel", [pending, failed])
    assert "Cancel 2 orders" in text_of(asked)
    assert statuses(pending) == ["pending"]
    told = text_of(act(operator, CANCEL, pending, failed))

    assert "Done for 1 of 2." in told
    assert "Nothing was changed. The order is failed already." in told
    assert statuses(pending)[-1] == "cancelled"
    assert statuses(untouched) == ["pending"]
    assert LogEntry.objects.count() == 1


def test_all_that_a_filter_fits_can_not_be_chosen_at_once(
    operator: Client, account: Account
) -> None:
    ticked, other = place(account), place(account)

    response = operator.post(
        ORDERS,
        {"action": "cancel", "_selected_action": [ticked.id], "select_across": "1", "index": "0"},
        follow=True,
    )

    assert str(ticked.id) in text_of(response)
    assert str(other.id) not in text_of(response)


@pytest.mark.parametrize("address", [CANCEL, REQUEUE])
def test_without_a_reason_nothing_happens(operator: Client, account: Account, address: str) -> None:
    order = backing_off(account)
    before = Order.objects.values().get(id=order.id)

    assert "This field is required" in text_of(act(operator, address, order, reason=" "))

    assert Order.objects.values().get(id=order.id) == before


@pytest.mark.parametrize("address", [CANCEL, REQUEUE])
def test_without_the_permission_nothing_is_offered_and_nothing_happens(
    auditor: Client, account: Account, address: str
) -> None:
    order = place(account)

    assert auditor.get(address, {"id": order.id}).status_code == 403
    assert act(auditor, address, order).status_code == 403
    tick(auditor, "cancel", [order])

    assert statuses(order) == ["pending"]
    assert address not in auditor.get(order_page(order)).content.decode()
    assert 'value="cancel"' not in auditor.get(ORDERS).content.decode()


@pytest.mark.parametrize("asked", [{}, {"id": "x"}, {"id": "01a1fd4c-ef08-7332-9646-bb96946cec96"}])
def test_without_an_order_there_is_no_such_page(operator: Client, asked: dict[str, str]) -> None:
    assert operator.get(CANCEL, asked).status_code == 404


def test_an_order_s_page_leads_to_what_can_be_done(operator: Client, account: Account) -> None:
    active, ended = place(account), order_at(Status.FAILED, account)

    for address in (CANCEL, REQUEUE):
        assert f"{address}?id={active.id}" in operator.get(order_page(active)).content.decode()
        assert address not in operator.get(order_page(ended)).content.decode()


def test_a_back_off_ends_when_the_order_is_requeued(
    operator: Client, account: Account, hinted: list[Any]
) -> None:
    order = backing_off(account)
    before = statuses(order)
    hinted.clear()

    assert "Due now" in text_of(act(operator, REQUEUE, order))

    assert statuses(order) == before
    assert hinted == [order.id]
    assert claim(order).fence == order.fence + 1
    assert WHY in LogEntry.objects.get().change_message


def test_what_a_worker_holds_is_left_to_it(
    operator: Client, account: Account, hinted: list[Any]
) -> None:
    held = claim(place(account))
    hinted.clear()

    assert "A worker holds the order" in text_of(act(operator, REQUEUE, held))

    assert Order.objects.get(id=held.id).due_at == held.due_at
    assert not hinted
    assert not LogEntry.objects.exists()


def test_what_has_ended_stays_as_it_is(operator: Client, account: Account) -> None:
    assert "is failed already" in text_of(act(operator, REQUEUE, order_at(Status.FAILED, account)))


def test_a_suspect_gets_another_chance(operator: Client, account: Account) -> None:
    order = place(account)
    for _ in range(5):
        claim(order)
        become_due(order)

    act(operator, REQUEUE, order)

    assert Order.objects.get(id=order.id).claims == 1
