"""Orders to audit."""

import pytest

from orders import execution, intake
from orders.exchange import TradingDesk
from orders.models import Account, Order
from tests.factories import place
from tests.routing.lab import ChainLab


@pytest.fixture
def order(account: Account, desk: TradingDesk, lab: ChainLab) -> Order:
    """A confirmed order, among others in several states; what was signed for them can land no more."""
    orders = [place(account) for _ in range(4)]
    for each in orders[:3]:
        execution.execute([each.id], desk=desk)
    intake.cancel_order(place(account).id, account_id=account.pk)
    order = Order.objects.get(id=orders[1].id)
    assert order.status == "confirmed"
    lab.clock.pass_slots(200)
    return order
