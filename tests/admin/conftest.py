"""Visitors, and orders worth looking at."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders import execution
from orders.admin import transactions
from orders.exchange import TradingDesk
from orders.models import Account, Order
from tests.admin.console import logged_in, staff
from tests.factories import place


@pytest.fixture
def root(db: None) -> Client:
    return logged_in(User.objects.create_superuser("root"))


@pytest.fixture
def auditor(db: None) -> Client:
    return staff("auditor", "view_order")


@pytest.fixture
def confirmed(account: Account, desk: TradingDesk) -> Order:
    order = place(account, client_order_id="bot:1")
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    return order


@pytest.fixture
def on_this_chain(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch) -> TradingDesk:
    """The console asks the chain that the test's orders were executed on."""
    monkeypatch.setattr(transactions, "exchange", lambda: desk)
    return desk
