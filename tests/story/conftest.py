"""A transaction that the chain never hears of."""

import pytest

from orders.exchange import TradingDesk
from orders.models import Account
from tests.desks import behind
from tests.factories import (
    claim,
    place,
    sign,
)
from tests.story.telling import Dropped


@pytest.fixture
def dropped(account: Account, desk: TradingDesk) -> Dropped:
    """A committed transaction that the chain never hears of, and the node that drops it."""
    desk, node = behind(desk)
    node.drops_sends = True
    return sign(claim(place(account)), desk=desk), desk, node
