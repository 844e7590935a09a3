"""Sockets in trouble: without Redis, with readers that stop, with nothing to say."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect

from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, Order
from tests.engine import StreamServer, WebServer
from tests.factories import move, order_at, place
from tests.stream.client import Socket, execute, later
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


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
    slow = open_and_stop_reading(web, api_key)
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


def open_and_stop_reading(web: WebServer, api_key: str) -> socket.socket:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", web.port))
    slow.sendall(
        f"GET /ws/orders HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {api_key}\r\n\r\n".encode()
    )
    return slow


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


async def test_a_reader_that_never_reads_again_keeps_no_connection(
    web: WebServer, account: Account, api_key: str
) -> None:
    order = await later(lambda: place(account))
    with open_and_stop_reading(web, api_key) as slow:
        await later(lambda: wait_until(lambda: is_kept(web, slow)))
        for _ in range(100):
            await later(
                lambda: move(
                    Order.objects.get(id=order.id), Status.ROUTING, details={"quotes": "x" * 60_000}
                )
            )
        await later(lambda: wait_until(lambda: not is_kept(web, slow), timeout_s=20))


def is_kept(web: WebServer, reader: socket.socket) -> bool:
    """Whether the server still has its end of the connection."""
    here = reader.getsockname()
    connections = psutil.Process(web.process.pid).net_connections("tcp4")
    return any(connection.raddr == here for connection in connections)


class ImpatientServer(StreamServer):
    """Uvicorn, with a close time-out of half a second."""

    def __init__(self, *, ping_s: float) -> None:
        self.options = ["--ping-s", str(ping_s)]
        super().__init__()

    module = "tests.impatient_sockets"


CLOSE = b"\x88\x82" + bytes(4) + b"\x03\xe8"  # masked with zeros; 1000
NO_FRAME = b"\xff" * 16


@pytest.mark.parametrize(
    ("last_act", "ping_s"),
    [
        (lambda reader: reader.sendall(CLOSE), 60),
        (lambda reader: reader.sendall(NO_FRAME), 60),
        (lambda reader: reader.shutdown(socket.SHUT_WR), 60),
        (lambda reader: None, 0.5),
    ],
    ids=["closes", "breaks the protocol", "sends no more", "answers no ping"],
)
async def test_a_reader_that_stopped_keeps_no_connection_whoever_closes_it(
    last_act: Callable[[socket.socket], None], ping_s: float, account: Account, api_key: str
) -> None:
    """It leaves less unread than it may, and more than the kernel takes from the server."""
    web = await later(lambda: ImpatientServer(ping_s=ping_s))
    try:
        order = await later(lambda: place(account))
        with open_and_stop_reading(web, api_key) as reader:
            await later(lambda: wait_until(lambda: b"order.snapshot" in reader.recv(4096)))
            for _ in range(3):
                await later(
                    lambda: move(
                        Order.objects.get(id=order.id),
                        Status.ROUTING,
                        details={"quotes": "x" * 60_000},
                    )
                )
            await later(lambda: wait_until(lambda: b"xxxx" in reader.recv(1024)))
            assert await later(lambda: is_kept(web, reader))

            last_act(reader)

            await later(lambda: wait_until(lambda: not is_kept(web, reader), timeout_s=4))
    finally:
        await later(web.stop)


PING = b"\x89\xfd" + bytes(4) + bytes(125)  # masked with zeros


async def test_pings_whose_answers_nobody_reads_end_the_connection(
    web: WebServer, account: Account, api_key: str
) -> None:
    with open_and_stop_reading(web, api_key) as slow:
        slow.settimeout(60)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(200):
                await asyncio.to_thread(slow.sendall, PING * 1000)


async def test_a_quiet_stream_has_a_heartbeat(
    web: WebServer, open_socket: Any, account: Account
) -> None:
    order = await later(lambda: order_at(Status.ROUTING, account))

    async with open_socket(f"/ws/{order.id}?after=1") as client:
        assert (await client.read())["seq"] == 2
        assert await client.read_any(timeout_s=15) == {"type": "heartbeat", "seq": 2}
