"""A socket that reads JSON, and calls of the engine made beside it in threads of their own."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from orders import execution
from orders.exchange import TradingDesk
from orders.models import Order

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5", "orderType": "market"}


class Socket:
    """A client that reads JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def read(self) -> dict[str, Any]:
        """The next message that is no heartbeat."""
        while (message := await self.read_any())["type"] == "heartbeat":
            pass
        return message

    async def read_any(self, *, timeout_s: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def read_to_the_end(self) -> tuple[list[dict[str, Any]], int | None]:
        """Every message but heartbeats, and the close code."""
        messages = []
        try:
            while True:
                messages.append(await self.read())
        except ConnectionClosed as closed:
            return messages, closed.rcvd.code if closed.rcvd else None


in_thread = sync_to_async(thread_sensitive=False)


@in_thread
def execute(order: Order, desk: TradingDesk) -> None:
    try:
        execution.execute([order.id], desk=desk)
    finally:
        connection.close()


@in_thread
def later(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connection.close()
