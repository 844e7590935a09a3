"""A folder and a key for the checkpoints of one test, and orders that are in one."""

from pathlib import Path

import pytest
from django.conf import LazySettings

from orders import checkpoints, execution
from orders.exchange import TradingDesk
from orders.models import Account, Order
from tests.factories import place


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: LazySettings) -> Path:
    folder = tmp_path / "checkpoints"
    settings.CHECKPOINT_DIR = folder
    settings.CHECKPOINT_KEY_FILE = tmp_path / "key.json"
    return folder


@pytest.fixture
def order(account: Account, desk: TradingDesk) -> Order:
    """A confirmed order among three, all of them in a checkpoint."""
    orders = [place(account) for _ in range(3)]
    for each in orders:
        execution.execute([each.id], desk=desk)
    assert checkpoints.write() == 1
    return Order.objects.get(id=orders[1].id)
