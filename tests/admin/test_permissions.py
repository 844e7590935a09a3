"""What the console refuses, and to whom."""

import re

import pytest
from django.test import Client

from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from tests.admin.console import (
    ACCOUNTS,
    KEYS,
    ORDERS,
    UNSEEN_SIGNATURE,
    listed,
    on_real_commits,
    order_page,
    staff,
    text_of,
    transaction_page,
)
from tests.factories import order_at, place


@pytest.mark.django_db
def test_not_even_a_superuser_adds_changes_or_deletes_an_order(
    root: Client, account: Account
) -> None:
    order = order_at(Status.SUBMITTED, account)
    before = snapshot()
    form = {"status": "confirmed", "client_order_id": "mine", "events-TOTAL_FORMS": "0"}

    for address in (f"{ORDERS}add/", order_page(order), f"{ORDERS}{order.id}/delete/"):
        assert root.post(address, {**form, "post": "yes", "_saveasnew": "1"}).status_code == 403
    assert root.get(f"{ORDERS}add/").status_code == 403
    assert root.get(f"{ORDERS}{order.id}/delete/").status_code == 403
    root.post(ORDERS, {"action": "delete_selected", "_selected_action": [order.id], "post": "yes"})

    assert snapshot() == before


def snapshot() -> list[list[tuple[object, ...]]]:
    return [list(model.objects.order_by("pk").values_list()) for model in (Order, OrderEvent)] + [
        list(OrderAttempt.objects.order_by("pk").values_list("pk", "state", "signature"))
    ]


@pytest.mark.django_db
def test_attempts_and_events_have_no_pages_of_their_own(root: Client) -> None:
    for model in ("orderattempt", "orderevent", "streamticket"):
        assert root.get(f"/admin/orders/{model}/").status_code == 404


@pytest.mark.django_db
def test_an_order_page_offers_nothing_to_fill_in(root: Client, account: Account) -> None:
    body = root.get(order_page(order_at(Status.SUBMITTED, account))).content.decode()

    assert set(re.findall(r'<input type="(\w+)"', body)) <= {"hidden", "search"}
    assert 'name="_save"' not in body
    assert "deletelink" not in body


@on_real_commits
def test_an_auditor_with_the_view_permission_sees_an_order_with_its_history(
    auditor: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    assert listed(auditor.get(ORDERS)) == [confirmed.id]
    page = text_of(auditor.get(order_page(confirmed)))
    assert "Order accepted." in page
    assert "Attempt 1" in page
    assert "On chain" in text_of(auditor.get(transaction_page(confirmed.tx_hash)))
    for address in (KEYS, f"{KEYS}add/", ACCOUNTS, f"{ACCOUNTS}add/", f"{ORDERS}add/"):
        assert auditor.get(address).status_code == 403


@pytest.mark.django_db
def test_without_a_permission_there_is_nothing_to_see(account: Account) -> None:
    nobody = staff("nobody")
    addresses = [
        ORDERS,
        order_page(place(account)),
        transaction_page(UNSEEN_SIGNATURE),
        KEYS,
        ACCOUNTS,
    ]

    for address in addresses:
        assert nobody.get(address).status_code == 403
        answer = Client().get(address)
        assert (answer.status_code, answer.url[:13]) == (302, "/admin/login/")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        f"{ORDERS}?status=%00",
        "/admin/orders/resolution/?state=%00",
        "/admin/orders/venuestate/%00/change/",
        "/admin/autocomplete/?term=%00&app_label=orders&model_name=member&field_name=user",
    ],
)
def test_a_null_in_an_address_is_refused_and_breaks_nothing(root: Client, address: str) -> None:
    assert root.get(address).status_code == 400
