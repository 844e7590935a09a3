"""The crowd's load generator, a process of its own. It opens sockets by the thousand and compares what each hears.

First every socket waits idle, then submits an order and streams it. Then clients of one account all hear of every
order: once among themselves, and once more beside a reader that has stopped reading.
"""

import asyncio
import json
import os
import socket as sockets
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp
import orjson

from benchmarks.engine import resident_bytes
from benchmarks.load import FINAL, PROGRESS_EVERY_S, SWAP, Followed, read_to_end
from benchmarks.measure import percentile

# An account's stream begins with a snapshot of the last 10 seconds' orders.
UNTIL_OLD_S = 11.0
# Low enough for the generator to keep up with a thousand clients.
ORDERS_PER_S = 5
HEARD_WITHIN_S = 60.0


@dataclass(frozen=True)
class CrowdOrder:
    """What the generator is told to do."""

    url: str
    ws_url: str
    api_key: str
    stream_pid: int
    sockets: int
    clients: int
    orders: int
    concurrency: int


@dataclass(frozen=True)
class Waiting:
    """A socket that has not submitted its order yet."""

    socket: aiohttp.ClientWebSocketResponse
    followed: Followed
    reading: asyncio.Task[None]


@lru_cache(maxsize=4096)
def read_message(text: str) -> tuple[str, str, int, str, float]:
    """(type, order, seq, status, time of writing): read once for all the clients that are sent the same text."""
    message = orjson.loads(text)
    at = message.get("timestamp")
    written_at = datetime.fromisoformat(at).timestamp() if at else 0.0
    return (
        message["type"],
        message.get("orderId", ""),
        message.get("seq") or 0,
        message.get("status", ""),
        written_at,
    )


class Client:
    """One of many on the account's stream."""

    def __init__(self, name: int, delays_s: Callable[[], array]) -> None:
        self.name = name
        self.ends = 0
        self.events: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self.ended_at: dict[str, float] = {}
        self._delays_s = delays_s

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            kind, order_id, seq, status, written_at = read_message(frame.data)
            if kind != "order.event":
                continue
            now = time.time()
            self.events[order_id].append((seq, status))
            self._delays_s().append(now - written_at)
            if status in FINAL:
                self.ends += 1
                self.ended_at[order_id] = now


class CrowdLoad:
    def __init__(self, told: CrowdOrder, http: aiohttp.ClientSession) -> None:
        self.told = told
        self.http = http
        self.followed: list[Followed] = []
        self.clients: list[Client] = []
        self.figures: dict[str, float] = {}
        self.troubles: list[str] = []
        self.opened = self.joined = self.delivered = 0
        self._delays_s = array("d")

    async def run(self) -> None:
        await self._a_socket_per_order()
        await asyncio.sleep(UNTIL_OLD_S)
        await self._one_account()

    async def _a_socket_per_order(self) -> None:
        address = f"{self.told.ws_url}/api/orders/execute"
        # The first sockets pay for imports and connections.
        for socket in await self._together(self.http.ws_connect(address) for _ in range(20)):
            await socket.close()
        before = resident_bytes(self.told.stream_pid)
        opened = await self._together(self._open(address) for _ in range(self.told.sockets))
        grown = resident_bytes(self.told.stream_pid) - before
        self.figures["memory_per_socket_kib"] = grown / len(opened) / 1024
        await self._together(self._submit(socket) for socket in opened)
        grown = resident_bytes(self.told.stream_pid) - before
        self.figures["memory_per_socket_after_kib"] = grown / len(opened) / 1024

    async def _open(self, address: str) -> Waiting:
        socket, followed = await self.http.ws_connect(address), Followed()
        self.opened += 1
        # Read from the beginning, for the server's pings are answered by whoever reads.
        reading = asyncio.create_task(read_to_end(socket, followed, silence_s=None))
        return Waiting(socket, followed, reading)

    async def _submit(self, waiting: Waiting) -> None:
        followed = waiting.followed
        followed.submitted_at = time.time()
        self.followed.append(followed)
        try:
            async with asyncio.timeout(HEARD_WITHIN_S):
                await waiting.socket.send_json(SWAP)
                await waiting.reading
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            followed.trouble = f"socket: {type(error).__name__}"
        await waiting.socket.close()

    async def _one_account(self) -> None:
        address = f"{self.told.ws_url}/ws/orders"
        self.clients = [Client(n, lambda: self._delays_s) for n in range(self.told.clients)]
        opened = await self._together(self._join(address) for _ in self.clients)
        listening = [
            asyncio.create_task(client.listen(socket))
            for client, socket in zip(self.clients, opened, strict=True)
        ]
        await self._deliver("delivery")
        with stopped_reader(address, self.told.api_key):
            await self._deliver("delivery_beside_a_stopped_reader")
        for socket in opened:
            await socket.close()
        await asyncio.gather(*listening)

    async def _join(self, address: str) -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(address)
        self.joined += 1
        return socket

    async def _deliver(self, name: str) -> None:
        """Submit orders one by one; every client must hear every event of each."""
        self._delays_s = array("d")
        submitted = []
        for _ in range(self.told.orders):
            next_at = time.monotonic() + 1 / ORDERS_PER_S
            followed = Followed(submitted_at=time.time())
            async with self.http.post(f"{self.told.url}/api/orders/execute", json=SWAP) as answer:
                followed.order_id = (await answer.json())["orderId"]
            followed.accepted_at = time.time()
            submitted.append(followed)
            self.delivered += 1
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        self.followed += submitted
        wanted = {one.order_id for one in submitted}
        deadline = time.monotonic() + HEARD_WITHIN_S
        while time.monotonic() < deadline:
            if all(wanted <= client.ended_at.keys() for client in self.clients):
                break
            await asyncio.sleep(0.1)
        first = self.clients[0]
        for one in submitted:
            one.events = first.events[one.order_id]
            one.ended_at = first.ended_at.get(one.order_id, 0.0)
        others = [client.name for client in self.clients if client.events != first.events]
        if others:
            self.troubles.append(
                f"{len(others)} of {len(self.clients)} clients heard otherwise than the first"
            )
        self.figures[f"{name}_p50_ms"] = percentile(self._delays_s, 0.50) * 1000
        self.figures[f"{name}_p99_ms"] = percentile(self._delays_s, 0.99) * 1000

    async def _together(self, work: Iterable[Awaitable]) -> list:
        """So many at once as the clients are."""
        room = asyncio.Semaphore(self.told.concurrency)

        async def one(each: Awaitable):
            async with room:
                return await each

        return await asyncio.gather(*(one(each) for each in work))

    async def report(self) -> None:
        while True:
            told = {
                "opened": self.opened,
                "ended": sum(1 for one in self.followed if one.ended_at),
                "joined": self.joined,
                "delivered": self.delivered,
            }
            print(json.dumps(told), flush=True)
            await asyncio.sleep(PROGRESS_EVERY_S)


@contextmanager
def stopped_reader(address: str, api_key: str) -> Iterator[None]:
    """A client that opens the stream and never reads a byte of it, not even the answer to its handshake."""
    parts = urlsplit(address)
    handshake = (
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        "Sec-WebSocket-Key: bm9ib2R5IHJlYWRzIHRoaXM=",
        f"Authorization: Bearer {api_key}",
    )
    with sockets.socket() as socket:
        # So that little of it hides in the system's own buffers.
        socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        socket.connect((parts.hostname, parts.port))
        socket.sendall("\r\n".join((*handshake, "", "")).encode())
        yield


async def main() -> None:
    told = CrowdOrder(**json.load(sys.stdin))
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=60)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=timeout,
        headers={"Authorization": f"Bearer {told.api_key}"},
    ) as http:
        crowd = CrowdLoad(told, http)
        reporting = asyncio.create_task(crowd.report())
        await crowd.run()
        reporting.cancel()
    times = os.times()
    last = {
        "orders": [asdict(followed) for followed in crowd.followed],
        "figures": crowd.figures,
        "troubles": crowd.troubles,
        "cpuSeconds": times.user + times.system,
    }
    print(json.dumps(last), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
