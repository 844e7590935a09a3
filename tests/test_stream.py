"""The sockets, over a real server and real Redis: every event, once, in order, whatever is cut."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from orders import accounts, execution
from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, ApiKey, Order, StreamTicket
from tests.engine import WebServer
from tests.factories import move, order_at, place

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5", "orderType": "market"}


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


class Socket:
    """A client that reads JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def read(self, *, timeout_s: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def read_to_the_end(self) -> tuple[list[dict[str, Any]], int | None]:
        """Every message but heartbeats, and the close code."""
        messages = []
        try:
            while True:
                message = await self.read()
                if message["type"] != "heartbeat":
                    messages.append(message)
        except ConnectionClosed as closed:
            return messages, closed.rcvd.code if closed.rcvd else None


@pytest.fixture
def open_socket(web: WebServer, api_key: str) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_socket(
        path: str, *, key: str | None = api_key, **options: Any
    ) -> AsyncIterator[Socket]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with connect(
            f"ws://127.0.0.1:{web.port}{path}", additional_headers=headers, **options
        ) as opened:
            yield Socket(opened)

    return open_socket


in_thread = sync_to_async(thread_sensitive=False)


@in_thread
def execute(order: Order, desk: TradingDesk) -> None:
    try:
        execution.execute(order.id, desk=desk)
    finally:
        connection.close()


@in_thread
def later(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connection.close()


# --- one order --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/ws/{}", "/api/orders/execute/{}", "/api/orders/execute?orderId={}"]
)
async def test_a_socket_gets_every_event_as_it_happens_and_is_closed_after_the_last(
    open_socket: Any, account: Account, desk: TradingDesk, path: str
) -> None:
    order = await later(lambda: place(account))

    async with open_socket(path.format(order.id)) as client:
        first = await client.read()
        await execute(order, desk)
        rest, code = await client.read_to_the_end()

    assert first["status"] == "pending"
    assert [event["seq"] for event in [first, *rest]] == [1, 2, 3, 4, 5]
    assert rest[-1]["status"] == "confirmed"
    assert code == 1000


async def test_the_stream_says_what_rest_says(
    open_socket: Any, account: Account, desk: TradingDesk
) -> None:
    order = await later(lambda: place(account))
    await execute(order, desk)

    async with open_socket(f"/ws/{order.id}") as client:
        events, code = await client.read_to_the_end()

    from orders.api.presentation import order_with_history_as_json

    assert (
        events
        == (await later(lambda: order_with_history_as_json(Order.objects.get(id=order.id))))[
            "events"
        ]
    )
    assert code == 1000


@pytest.mark.parametrize("after", [0, 1, 4, 5])
async def test_a_socket_resumes_after_what_it_saw(
    open_socket: Any, account: Account, desk: TradingDesk, after: int
) -> None:
    order = await later(lambda: place(account))
    await execute(order, desk)

    async with open_socket(f"/ws/{order.id}?after={after}") as client:
        events, code = await client.read_to_the_end()

    assert [event["seq"] for event in events] == list(range(after + 1, 6))
    assert code == 1000


async def test_sockets_that_are_cut_at_random_miss_nothing_and_get_nothing_twice(
    open_socket: Any, account: Account
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    orders = [await later(lambda: place(account)) for _ in range(8)]

    async def follow(order: Order) -> list[int]:
        seen: list[int] = []
        while True:
            async with open_socket(f"/ws/{order.id}?after={len(seen)}") as client:
                try:
                    for _ in range(dice.randint(1, 4)):
                        event = await client.read()
                        if event["type"] == "order.event":
                            seen.append(event["seq"])
                        if event.get("status") in ("confirmed", "failed", "cancelled"):
                            return seen
                except ConnectionClosed:
                    return seen
                client.connection.transport.abort()  # no goodbye

    async def live(order: Order) -> None:
        """Twenty events, at random moments, through every retry, to the end."""
        steps = [Status.ROUTING] * 18 + [Status.FAILED]
        for step in steps:
            await asyncio.sleep(dice.random() / 50)
            await later(lambda step=step: move(Order.objects.get(id=order.id), step))

    followers = [asyncio.create_task(follow(order)) for order in orders]
    await asyncio.gather(*(live(order) for order in orders))

    for seen in await asyncio.gather(*followers):
        assert seen == list(range(1, 21))


async def test_many_sockets_on_one_order_all_get_everything(
    open_socket: Any, account: Account, desk: TradingDesk
) -> None:
    order = await later(lambda: place(account))

    async def follow() -> list[int]:
        async with open_socket(f"/ws/{order.id}") as client:
            events, _ = await client.read_to_the_end()
            return [event["seq"] for event in events]

    followers = [asyncio.create_task(follow()) for _ in range(50)]
    await execute(order, desk)

    assert await asyncio.gather(*followers) == [[1, 2, 3, 4, 5]] * 50


# --- submit and follow ------------------------------------------------------------------------------


async def test_the_first_message_is_an_order_and_the_same_socket_streams_it(
    open_socket: Any, account: Account, desk: TradingDesk
) -> None:
    async with open_socket("/api/orders/execute") as client:
        await client.connection.send(json.dumps(ORDER))
        first = await client.read()
        order = await later(lambda: Order.objects.get(id=first["orderId"]))
        await execute(order, desk)
        rest, code = await client.read_to_the_end()

    assert [event["seq"] for event in [first, *rest]] == [1, 2, 3, 4, 5]
    assert code == 1000


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "EMPTY_BODY"),
        ("{", "INVALID_JSON"),
        ("[]", "NOT_AN_OBJECT"),
        (json.dumps(ORDER | {"amount": "0"}), "VALIDATION_FAILED"),
        (b"\x00\x01", "BINARY_FRAME"),
    ],
)
async def test_a_bad_order_is_explained_and_nothing_is_stored(
    open_socket: Any, account: Account, message: str | bytes, code: str
) -> None:
    async with open_socket("/api/orders/execute") as client:
        await client.connection.send(message)
        messages, close_code = await client.read_to_the_end()

    assert [(m["type"], m["code"]) for m in messages] == [("problem", code)]
    assert close_code == 4400
    assert await later(Order.objects.count) == 0


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "close_code", "code"),
    [
        (f"/ws/{uuid4()}", 4404, "ORDER_NOT_FOUND"),
        (f"/api/orders/execute?orderId={uuid4()}", 4404, "ORDER_NOT_FOUND"),
        ("/ws/nonsense", 4400, "INVALID_ORDER_ID"),
        ("/api/orders/execute?orderId=", 4400, "INVALID_ORDER_ID"),
        ("/elsewhere", 4404, "NOT_FOUND"),
        ("/ws/orders?since=yesterday", 4400, "INVALID_SINCE"),
        ("/ws/orders?since=2026-01-01T00:00:00", 4400, "INVALID_SINCE"),
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
@pytest.mark.parametrize("path", ["/ws/orders", f"/ws/{uuid4()}", "/api/orders/execute"])
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


async def test_an_oversized_frame_is_refused(open_socket: Any) -> None:
    async with open_socket("/api/orders/execute") as client:
        await client.connection.send("x" * (64 * 1024 + 1))
        _, code = await client.read_to_the_end()

    assert code == 1009
    assert await later(Order.objects.count) == 0


# --- an account's orders ----------------------------------------------------------------------------


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


# --- trouble ----------------------------------------------------------------------------------------


async def test_without_redis_the_stream_is_complete_all_the_same(
    account: Account, api_key: str, desk: TradingDesk
) -> None:
    """Its server's Redis is a port where nothing listens: every event comes by comparing with the log."""
    web = await later(lambda: WebServer(REDIS_URL="redis://127.0.0.1:1/0"))
    try:
        order = await later(lambda: place(account))
        headers = {"Authorization": f"Bearer {api_key}"}
        async with connect(
            f"ws://127.0.0.1:{web.port}/ws/{order.id}", additional_headers=headers
        ) as opened:
            client = Socket(opened)
            first = await client.read()
            await execute(order, desk)
            rest, code = await client.read_to_the_end()
    finally:
        await later(web.stop)

    assert [event["seq"] for event in [first, *rest]] == [1, 2, 3, 4, 5]
    assert code == 1000


async def test_a_reader_that_stops_reading_is_dropped_and_costs_the_others_nothing(
    web: WebServer, open_socket: Any, account: Account, api_key: str
) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", web.port))
    slow.sendall(
        f"GET /ws/orders HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {api_key}\r\n\r\n".encode()
    )
    order = await later(lambda: place(account))
    padding = "x" * 60_000
    events = 120

    async with open_socket("/ws/orders", max_size=None) as client:
        assert (await client.read())["type"] == "order.snapshot"
        seen = []
        for _ in range(events):
            await later(
                lambda: move(
                    Order.objects.get(id=order.id), Status.ROUTING, details={"quotes": padding}
                )
            )
            seen.append((await client.read())["seq"])

    assert seen == list(range(2, events + 2))
    received = await asyncio.to_thread(drain, slow)
    assert b"\x03\xf5" in received[-200:]  # the close frame's code, 1013
    assert len(received) < events * len(padding) / 2


def drain(slow: socket.socket) -> bytes:
    """Read what was kept for it, up to the end of the connection."""
    slow.settimeout(10)
    received = bytearray()
    try:
        while chunk := slow.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return bytes(received)


async def test_a_quiet_stream_has_a_heartbeat(
    web: WebServer, open_socket: Any, account: Account
) -> None:
    order = await later(lambda: order_at(Status.ROUTING, account))

    async with open_socket(f"/ws/{order.id}?after=1") as client:
        assert (await client.read())["seq"] == 2
        assert await client.read(timeout_s=15) == {"type": "heartbeat", "seq": 2}
