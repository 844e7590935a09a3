"""The socket of all of an account's orders."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from orders import journal
from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, Order
from tests.factories import move, new_order, order_at, place
from tests.stream.client import execute, later

pytestmark = pytest.mark.django_db(transaction=True)


async def test_an_accounts_stream_begins_with_what_is_unfinished_and_goes_on_contiguously(
    open_socket: Any, account: Account, desk: TradingDesk
) -> None:
    open_order = await later(lambda: order_at(Status.BUILDING, account))

    async with open_socket("/ws/orders") as client:
        snapshot = await client.read()
        await later(lambda: move(Order.objects.get(id=open_order.id), Status.CANCELLED))
        cancelled = await client.read()
        new = await later(lambda: place(account))
        await execute(new, desk)
        events = [await client.read() for _ in range(5)]

    assert (snapshot["type"], snapshot["orderId"], snapshot["seq"]) == (
        "order.snapshot",
        str(open_order.id),
        3,
    )
    assert (cancelled["orderId"], cancelled["seq"]) == (str(open_order.id), 4)
    assert [(event["orderId"], event["seq"]) for event in events] == [
        (str(new.id), n) for n in range(1, 6)
    ]


async def test_an_accounts_stream_shows_what_changed_since_a_time(
    open_socket: Any, account: Account, backdate: Callable[[Order], None]
) -> None:
    ended = await later(lambda: order_at(Status.FAILED, account))
    await later(lambda: backdate(ended))

    async with open_socket("/ws/orders?since=2020-01-01T00:00:00Z") as client:
        assert (await client.read())["orderId"] == str(ended.id)
    async with open_socket("/ws/orders") as client:
        fresh = await later(lambda: place(account))
        assert (await client.read())["orderId"] == str(fresh.id)


async def test_an_accounts_stream_tells_nothing_of_others(
    open_socket: Any, account: Account
) -> None:
    theirs = await later(lambda: place(Account.objects.create(name="bob")))

    async with open_socket("/ws/orders") as client:
        await later(lambda: move(Order.objects.get(id=theirs.id), Status.CANCELLED))
        ours = await later(lambda: place(account))
        assert (await client.read())["orderId"] == str(ours.id)


@pytest.fixture
def backdate() -> Callable[[Order], None]:
    """Make an order look accepted long ago, so that it isn't shown for being recent."""

    def backdate(order: Order) -> None:
        old = "00000000" + str(uuid4())[8:]
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            for table, column in (
                ("order", "id"),
                ("orderattempt", "order_id"),
                ("orderevent", "order_id"),
            ):
                cursor.execute(
                    f"UPDATE orders_{table} SET {column} = %s WHERE {column} = %s", [old, order.id]
                )
            cursor.execute("SET session_replication_role = origin")
        order.id = type(order.id)(old)

    return backdate


async def test_a_snapshot_may_be_longer_than_what_a_slow_reader_may_leave_unread(
    open_socket: Any, account: Account
) -> None:
    accepted = await later(lambda: journal.accept([new_order(account) for _ in range(2000)]))
    placed = [event.order_id for event in accepted]

    async with open_socket("/ws/orders") as client:
        snapshots = [await client.read() for _ in placed]
        await later(lambda: move(Order.objects.get(id=placed[-1]), Status.CANCELLED))
        event = await client.read()

    assert [snapshot["orderId"] for snapshot in snapshots] == [str(order_id) for order_id in placed]
    assert (event["orderId"], event["status"]) == (str(placed[-1]), "cancelled")
