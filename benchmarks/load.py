"""The load generator, a process of its own: submits orders, follows each to its end, prints what it saw.

Reads a LoadOrder as JSON on its input. Prints a line of progress several times a second, then one with every order.
A client submits one order (or batch) after the other, and `waits` for each to end or doesn't.
It knows the wire format; of the database only what tells it, without a socket, when an order ended.
"""

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import aiohttp
import psycopg

SWAP = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "0.01", "orderType": "market"}
FINAL = ("confirmed", "failed", "cancelled")
PROGRESS_EVERY_S = 0.25
# The engine says something at least every 15 s.
SILENCE_S = 30.0
# How long a socket may stay open after the last event.
CLOSE_S = 5.0


@dataclass(frozen=True)
class LoadOrder:
    """What the generator is told to do."""

    url: str
    ws_url: str
    api_key: str
    database_url: str
    orders: int
    concurrency: int
    sockets: bool
    batch: int
    waits: bool
    timeout_s: float


@dataclass
class Followed:
    """One order. Times are seconds of the system's clock; `events` are (seq, status), as they came over the socket.

    Of an order that was sent in a batch, only the client's own id is known until the log is read.
    """

    order_id: str = ""
    client_order_id: str = ""
    submitted_at: float = 0.0
    accepted_at: float = 0.0
    ended_at: float = 0.0
    events: list[tuple[int, str]] = field(default_factory=list)
    reconnects: int = 0
    trouble: str = ""


class Load:
    def __init__(self, told: LoadOrder) -> None:
        self.told = told
        self.followed: list[Followed] = []
        self._followers: list[asyncio.Task[None]] = []
        self._all_submitted = False
        self._ended_in_log = 0
        self.peak_in_flight = 0
        self._name = secrets.token_hex(4)

    async def run(self) -> None:
        """Returns when every accepted order has ended, or after the time-out."""
        headers = {"Authorization": f"Bearer {self.told.api_key}"}
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers
        ) as http:
            reporting = asyncio.create_task(self._report())
            if not self.told.sockets:
                self._followers.append(asyncio.create_task(self._watch_log()))
            try:
                async with asyncio.timeout(self.told.timeout_s):
                    numbers = iter(range(self.told.orders))
                    submit = self._submit if self.told.batch == 1 else self._submit_batches
                    clients = (submit(http, numbers) for _ in range(self.told.concurrency))
                    await asyncio.gather(*clients)
                    self._all_submitted = True
                    await asyncio.gather(*self._followers)
            except TimeoutError:
                pass  # the orders say how far they came
            finally:
                for task in (reporting, *self._followers):
                    task.cancel()
                await asyncio.gather(reporting, *self._followers, return_exceptions=True)

    async def _submit(self, http: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for _ in numbers:
            followed = Followed(submitted_at=time.time())
            self.followed.append(followed)
            try:
                async with http.post(f"{self.told.url}/api/orders/execute", json=SWAP) as answer:
                    body = await answer.json(content_type=None)
                    if answer.status != 201:
                        followed.trouble = f"refused with {answer.status} {body.get('code')}"
                        continue
            except (aiohttp.ClientError, OSError, ValueError) as error:
                followed.trouble = f"could not be submitted: {type(error).__name__}"
                continue
            followed.accepted_at = time.time()
            followed.order_id = body["orderId"]
            if self.told.sockets:
                following = asyncio.create_task(self._follow(http, followed))
                self._followers.append(following)
                if self.told.waits:
                    await following

    async def _submit_batches(self, http: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        while batch := list(islice(numbers, self.told.batch)):
            now = time.time()
            # The run is named, for a warm-up has numbers of its own.
            sent = [
                Followed(client_order_id=f"{self._name}-{number}", submitted_at=now)
                for number in batch
            ]
            self.followed += sent
            body = {"orders": [SWAP | {"clientOrderId": one.client_order_id} for one in sent]}
            trouble = ""
            try:
                async with http.post(f"{self.told.url}/api/orders/batch", json=body) as answer:
                    told = await answer.json(content_type=None)
                    if answer.status != 200 or told["accepted"] != len(sent):
                        trouble = (
                            f"in a batch that was answered with {answer.status} {str(told)[:200]}"
                        )
            except (aiohttp.ClientError, OSError, ValueError) as error:
                trouble = f"could not be submitted: {type(error).__name__}"
            for one in sent:
                one.trouble = trouble
                one.accepted_at = 0.0 if trouble else time.time()

    async def _watch_log(self) -> None:
        """Until every order has ended, for want of sockets that would tell."""
        async with await psycopg.AsyncConnection.connect(
            self.told.database_url, autocommit=True
        ) as database:
            while True:
                all_submitted, accepted = self._all_submitted, self._accepted
                # An order that nobody will move on any more has no time at which it is due.
                cursor = await database.execute(
                    "SELECT count(*), count(*) FILTER (WHERE status = 'submitted')"
                    " FROM orders_order WHERE due_at IS NOT NULL"
                )
                unfinished, in_flight = await cursor.fetchone() or (0, 0)
                self.peak_in_flight = max(self.peak_in_flight, in_flight)
                self._ended_in_log = max(0, accepted - unfinished)
                if all_submitted and not unfinished:
                    return
                await asyncio.sleep(PROGRESS_EVERY_S)

    async def _follow(self, http: aiohttp.ClientSession, followed: Followed) -> None:
        """To the end of the stream and of its socket; a cut one is resumed after the last seq."""
        while not followed.ended_at:
            after = followed.events[-1][0] if followed.events else 0
            address = f"{self.told.ws_url}/ws/{followed.order_id}?after={after}"
            try:
                async with http.ws_connect(address, max_msg_size=0) as socket:
                    await read_to_end(socket, followed)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                followed.trouble = followed.trouble or f"socket: {type(error).__name__}"
            if not followed.ended_at:
                followed.reconnects += 1
                await asyncio.sleep(0.1)

    async def _report(self) -> None:
        while True:
            ended = sum(1 for followed in self.followed if followed.ended_at)
            seen = {"accepted": self._accepted, "ended": ended or self._ended_in_log}
            print(json.dumps(seen), flush=True)
            await asyncio.sleep(PROGRESS_EVERY_S)

    @property
    def _accepted(self) -> int:
        return sum(1 for followed in self.followed if followed.accepted_at)


async def read_to_end(
    socket: aiohttp.ClientWebSocketResponse,
    followed: Followed,
    *,
    silence_s: float | None = SILENCE_S,
) -> None:
    """Also what comes after the last event: nothing should."""
    while True:
        message = await socket.receive(timeout=CLOSE_S if followed.ended_at else silence_s)
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        event: dict[str, Any] = json.loads(message.data)
        if event["type"] == "order.event":
            if not followed.accepted_at:  # it was submitted over this socket
                followed.order_id, followed.accepted_at = event["orderId"], time.time()
            followed.events.append((event["seq"], event["status"]))
            if event["status"] in FINAL:
                followed.ended_at = time.time()
        elif event["type"] == "problem":
            followed.trouble = f"socket refused: {event.get('code')}"


def main() -> None:
    load = Load(LoadOrder(**json.load(sys.stdin)))
    asyncio.run(load.run())
    times = os.times()
    told = {
        "orders": [asdict(followed) for followed in load.followed],
        "peakInFlight": load.peak_in_flight,
        "cpuSeconds": times.user + times.system,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
