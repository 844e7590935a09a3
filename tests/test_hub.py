"""The hub's bookkeeping while sockets come and go; that events arrive is tested over real sockets."""

import asyncio
from typing import Any

import pytest

from orders import hub as hub_module
from orders.hub import Hub
from orders.stream_log import oldest_recent_id
from orders.subscription import Subscription


class SlowLayer:
    """A channel layer whose every answer takes a while."""

    def __init__(self) -> None:
        self.groups: set[str] = set()

    async def new_channel(self, prefix: str) -> str:
        return prefix

    async def receive(self, channel: str) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def group_add(self, group: str, channel: str) -> None:
        await asyncio.sleep(0.02)
        self.groups.add(group)

    async def group_discard(self, group: str, channel: str) -> None:
        await asyncio.sleep(0.02)
        self.groups.discard(group)


async def test_a_socket_that_comes_back_while_another_account_joins_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = SlowLayer()
    monkeypatch.setattr(hub_module, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(hub_module, "in_database", nothing_new)
    monkeypatch.setattr(hub_module, "HEARTBEAT_EVERY_S", 0.01)
    hub = Hub()
    heard: list[str] = []
    first, second, back = socket_of(1, []), socket_of(2, []), socket_of(2, heard)

    hub.join(first)
    hub.join(second)
    hub.leave(second)  # its account comes up behind the first one's, which takes a while to join
    await asyncio.sleep(0.01)
    hub.join(back)
    async with asyncio.timeout(5):
        while not heard or layer.groups != {"account.1", "account.2"}:
            await asyncio.sleep(0.01)

    for task in hub._tasks:
        task.cancel()


def socket_of(account_id: int, heard: list[str]) -> Subscription:
    async def send(text: str) -> None:
        heard.append(text)

    async def close(code: int) -> None:
        raise AssertionError(code)

    return Subscription(
        account_id=account_id, order_id=None, send=send, close=close, newer_than=oldest_recent_id()
    )


async def nothing_new(*_: Any, **__: Any) -> list[Any]:
    return []
