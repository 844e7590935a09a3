"""Clients as they should be: they repeat what may have failed, resume what was cut, and keep exactly what they saw.

A submission is repeated with its `clientOrderId` until it is answered. A socket resumes after the last seq
(`?after=`), an account's stream at the time of its last message (`?since=`).
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from orders.lifecycle import TERMINAL
from tests.chaos.plan import Plan

SWAPS = (
    {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5"},
    {"tokenIn": "USDC", "tokenOut": "SOL", "amount": "40"},
)
ANSWER_TIMEOUT_S = 10.0
# The engine says something at least every 15 s.
SILENCE_S = 20.0
BACK_OFF_S = (0.1, 0.6)
# Commits may come a little out of the order of their times.
SINCE_MARGIN_S = 30.0
ACCEPTED = (200, 201)


@dataclass(frozen=True)
class Mark:
    """One message about an order. A snapshot tells where an order stands, and stands for all up to its seq."""

    seq: int
    status: str
    is_snapshot: bool = False

    @property
    def is_final(self) -> bool:
        return self.status in TERMINAL


@dataclass
class Seen:
    """What all clients saw. `accepted` is (account, clientOrderId) → order id; streams are as they came."""

    accepted: dict[tuple[str, str], str] = field(default_factory=dict)
    own_streams: dict[str, list[Mark]] = field(default_factory=dict)
    account_streams: dict[str, dict[str, list[Mark]]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)  # that were worth another try, by code
    reconnects: int = 0
    slowest_answer_s: float = 0.0
    troubles: list[str] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """Orders whose end their account's stream has told."""
        return sum(
            marks[-1].is_final
            for stream in self.account_streams.values()
            for marks in stream.values()
        )


class Clients:
    def __init__(self, plan: Plan, *, url: str, keys: dict[str, str]) -> None:
        self.seen = Seen(account_streams={account: {} for account in keys})
        self.all_submitted = asyncio.Event()
        self._plan = plan
        self._url = url
        self._keys = keys
        self._rng = random.Random(plan.seed)
        self._started_at = time.monotonic()

    async def run(self) -> None:
        """Submit every order, then follow until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_S)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http,
            asyncio.TaskGroup() as group,
        ):
            for account in self._keys:
                group.create_task(self._follow_account(http, account))
            numbers = iter(range(self._plan.orders))
            submitters = (self._submit_all(http, numbers, group) for _ in range(self._plan.clients))
            await asyncio.gather(*submitters)
            self.all_submitted.set()

    def is_complete(self) -> bool:
        """Every accepted order's end was told, on its account's stream and on its own."""
        own = self.seen.own_streams.values()
        return (
            self.all_submitted.is_set()
            and self.seen.ended >= len(self.seen.accepted)
            and all(marks and marks[-1].is_final for marks in own)
        )

    # --- submitting ---------------------------------------------------------------------------------------------------

    async def _submit_all(
        self, http: aiohttp.ClientSession, numbers: Iterator[int], group: asyncio.TaskGroup
    ) -> None:
        accounts = list(self._keys)
        for number in numbers:
            due_at = self._started_at + number / self._plan.submits_per_s
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            account = accounts[number % len(accounts)]
            order_id = await self._submit(http, account, number)
            if order_id and self._rng.random() < self._plan.own_socket_share:
                group.create_task(self._follow_order(http, account, order_id))

    async def _submit(self, http: aiohttp.ClientSession, account: str, number: int) -> str | None:
        """The id of the order, once an answer says it; None if it was refused for good."""
        client_order_id = f"chaos-{number}"
        body = {
            **SWAPS[number % len(SWAPS)],
            "orderType": "market",
            "slippageBps": 500,
            "clientOrderId": client_order_id,
        }
        while True:
            started_at = time.monotonic()
            try:
                status, answer = await self._post(http, account, body)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                self.seen.refusals[type(error).__name__] += 1
            else:
                if status in ACCEPTED:
                    order_id = str(answer["orderId"])
                    self.seen.accepted[account, client_order_id] = order_id
                    return order_id
                self.seen.refusals[f"{status} {answer.get('code')}"] += 1
                if not (status >= 500 or answer.get("retryable")):
                    self.seen.troubles.append(f"{client_order_id}: refused with {status}: {answer}")
                    return None
            took_s = time.monotonic() - started_at
            self.seen.slowest_answer_s = max(self.seen.slowest_answer_s, took_s)
            await self._back_off()

    async def _post(
        self, http: aiohttp.ClientSession, account: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        async with (
            asyncio.timeout(ANSWER_TIMEOUT_S),
            http.post(
                f"{self._url}/api/orders/execute", json=body, headers=self._authorization(account)
            ) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    # --- following ----------------------------------------------------------------------------------------------------

    async def _follow_order(self, http: aiohttp.ClientSession, account: str, order_id: str) -> None:
        marks = self.seen.own_streams.setdefault(order_id, [])
        while not (marks and marks[-1].is_final):
            after = marks[-1].seq if marks else 0
            await self._read(http, account, f"/ws/{order_id}?after={after}", {order_id: marks})

    async def _follow_account(self, http: aiohttp.ClientSession, account: str) -> None:
        stream = self.seen.account_streams[account]
        heard_at = datetime.now(UTC)
        while True:
            since = (
                (heard_at - timedelta(seconds=SINCE_MARGIN_S)).isoformat().replace("+00:00", "Z")
            )
            heard_at = (
                await self._read(http, account, f"/ws/orders?since={since}", stream) or heard_at
            )

    async def _read(
        self, http: aiohttp.ClientSession, account: str, path: str, stream: dict[str, list[Mark]]
    ) -> datetime | None:
        """Until the socket ends, however; what came after a last event is kept, too. Answers when it last spoke."""
        heard_at = None
        try:
            async with http.ws_connect(
                self._url + path, max_msg_size=0, headers=self._authorization(account)
            ) as socket:
                while True:
                    async with asyncio.timeout(SILENCE_S):
                        message = await socket.receive()
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    heard_at = datetime.now(UTC)
                    self._keep(json.loads(message.data), stream, path)
                if socket.close_code == 1000:
                    return heard_at
        except (aiohttp.ClientError, OSError):
            pass  # cut, silent or not answered: the next socket misses nothing
        self.seen.reconnects += heard_at is not None
        await self._back_off()
        return heard_at

    def _keep(self, message: dict[str, Any], stream: dict[str, list[Mark]], path: str) -> None:
        if message["type"] in ("order.event", "order.snapshot"):
            mark = Mark(message["seq"], message["status"], message["type"] == "order.snapshot")
            stream.setdefault(message["orderId"], []).append(mark)
        elif message["type"] == "problem" and message["status"] < 500:
            trouble = f"{path}: {message['code']}: {message['detail']}"
            if trouble not in self.seen.troubles:
                self.seen.troubles.append(trouble)

    def _authorization(self, account: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._keys[account]}"}

    async def _back_off(self) -> None:
        await asyncio.sleep(self._rng.uniform(*BACK_OFF_S))
