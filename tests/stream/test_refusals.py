"""Sockets that are refused: each says why, and closes with its code."""

from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from orders import accounts
from orders.lifecycle import Status
from orders.models import Account, ApiKey, Order, StreamTicket
from tests.factories import NOBODYS, order_at, place
from tests.stream.client import later

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("path", "close_code", "code"),
    [
        (f"/ws/{NOBODYS}", 4404, "ORDER_NOT_FOUND"),
        (f"/api/orders/execute?orderId={NOBODYS}", 4404, "ORDER_NOT_FOUND"),
        ("/ws/nonsense", 4400, "INVALID_ORDER_ID"),
        ("/api/orders/execute?orderId=", 4400, "INVALID_ORDER_ID"),
        ("/elsewhere", 4404, "NOT_FOUND"),
        ("/ws/orders?since=yesterday", 4400, "INVALID_SINCE"),
        ("/ws/orders?since=2026-01-01T00:00:00", 4400, "INVALID_SINCE"),
        ("/ws/orders?since=2026-13-45T00:00:00Z", 4400, "INVALID_SINCE"),
        ("/ws/orders?since=2026-01-31T25:00:00Z", 4400, "INVALID_SINCE"),
    ],
)
async def test_a_refusal_says_why_and_closes_with_its_code(
    open_socket: Any, path: str, close_code: int, code: str
) -> None:
    async with open_socket(path) as client:
        messages, closed_with = await client.read_to_the_end()

    assert [(m["type"], m["code"]) for m in messages] == [("problem", code)]
    assert closed_with == close_code


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "2", "99999999999999999999", "١"])
async def test_an_after_that_cannot_be_is_refused(
    open_socket: Any, account: Account, after: str
) -> None:
    order = await later(lambda: place(account))

    async with open_socket(f"/ws/{order.id}?after={after}") as client:
        messages, code = await client.read_to_the_end()

    assert [message["code"] for message in messages] == ["INVALID_AFTER"]
    assert code == 4400


async def test_somebody_elses_order_does_not_exist(open_socket: Any) -> None:
    theirs = await later(lambda: place(Account.objects.create(name="bob")))

    async with open_socket(f"/ws/{theirs.id}") as client:
        _, code = await client.read_to_the_end()

    assert code == 4404


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize("path", ["/ws/orders", f"/ws/{NOBODYS}", "/api/orders/execute"])
async def test_nobody_listens_without_a_key(open_socket: Any, key: str | None, path: str) -> None:
    async with open_socket(path, key=key) as client:
        messages, code = await client.read_to_the_end()

    assert [message["code"] for message in messages] == ["NOT_AUTHENTICATED"]
    assert code == 4401


async def test_a_revoked_key_opens_no_socket(open_socket: Any) -> None:
    await later(lambda: accounts.revoke_key(ApiKey.objects.get()))

    async with open_socket("/ws/orders") as client:
        assert (await client.read_to_the_end())[1] == 4401


async def test_a_ticket_opens_one_socket_once(open_socket: Any, account: Account) -> None:
    order = await later(lambda: order_at(Status.CANCELLED, account))
    clear, _ = await later(lambda: accounts.issue_ticket(account=account))

    codes = []
    for _ in range(2):
        async with open_socket(f"/ws/{order.id}?ticket={clear}", key=None) as client:
            codes.append((await client.read_to_the_end())[1])

    assert codes == [1000, 4401]


async def test_an_old_ticket_opens_nothing(open_socket: Any, account: Account) -> None:
    clear, _ = await later(lambda: accounts.issue_ticket(account=account))
    await later(lambda: StreamTicket.objects.update(expires_at="2020-01-01T00:00:00Z"))

    async with open_socket(f"/ws/orders?ticket={clear}", key=None) as client:
        assert (await client.read_to_the_end())[1] == 4401


async def test_a_binary_frame_on_a_stream_is_refused(open_socket: Any, account: Account) -> None:
    order = await later(lambda: place(account))

    async with open_socket(f"/ws/{order.id}") as client:
        await client.read()
        await client.connection.send(b"\x00")
        messages, code = await client.read_to_the_end()

    assert [message["code"] for message in messages] == ["BINARY_FRAME"]
    assert code == 4400


@pytest.mark.parametrize("size", [64 * 1024 + 1, 4 * 1024 * 1024])
async def test_an_oversized_frame_is_refused(open_socket: Any, size: int) -> None:
    async with open_socket("/api/orders/execute") as client:
        with suppress(ConnectionClosed):  # the refusal may come before all of it is sent
            await client.connection.send("x" * size)
        _, code = await client.read_to_the_end()

    assert code == 1009
    assert await later(Order.objects.count) == 0
