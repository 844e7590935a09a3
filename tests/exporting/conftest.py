"""Who asks for exports, and how they are written in tests."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet

from orders import exporting
from orders.models import (
    Export,
    ExportFormat,
    Order,
)
from tests.engine import Worker


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("auditor")


@pytest.fixture
def ask(user: User) -> Callable[..., Export]:
    def ask(
        orders: QuerySet[Order] | None = None, format: ExportFormat = ExportFormat.CSV
    ) -> Export:
        asked = Order.objects.all() if orders is None else orders
        return exporting.ask(asked, user_id=user.pk, format=format, query="", words="some orders")

    return ask


@pytest.fixture(autouse=True)
def nobody_executes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders of these tests are due, and no worker comes for them: exports would wait with them."""
    monkeypatch.setattr(exporting, "GIVE_WAY_S", 0.0)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two orders at a time, in parts of two."""
    monkeypatch.setattr(exporting, "IDS_AT_ONCE", 2)
    monkeypatch.setattr(exporting, "ROWS_OF_A_PART", 2)


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start_worker(**env: str) -> Worker:
        workers.append(Worker(EXECUTION="halted", **env))
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.stop()
