"""Who looks at pages, and an order worth looking at."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders import accounts, execution
from orders.exchange import TradingDesk
from orders.models import Account, Member, Order
from tests.admin.console import logged_in
from tests.factories import place


@pytest.fixture
def member(account: Account) -> Client:
    """Somebody who trades for the account."""
    user = User.objects.create_user("alice")
    Member.objects.create(user=user, account=account)
    return logged_in(user)


@pytest.fixture
def stranger(db: None) -> Client:
    """Somebody who trades for another account."""
    user = User.objects.create_user("mallory")
    Member.objects.create(user=user, account=accounts.create_account("mallory"))
    return logged_in(user)


@pytest.fixture
def confirmed(account: Account, desk: TradingDesk) -> Order:
    order = place(account, client_order_id="bot:1", amount_in_base=20_000 * 10**9)
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    return order
