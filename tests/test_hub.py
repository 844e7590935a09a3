"""The hub's bookkeeping while sockets come and go; that events arrive is tested over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from orders import hub as hub_module
from orders import stream_log
from orders.hub import Hub
from orders.passes import Pass
from orders.stream_log import Place, oldest_recent_id
from orders.subscription import Subscription


class SlowLayer:
    """A channel layer whose every answer takes a while, and on which something may be said."""

    def __init__(self) -> None:
        self.groups: set[str] = set()
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def say(self, account_id: int, order_id: UUID, events: list[tuple[int, bool]]) -> None:
        rows = [[str(order_id), seq, is_final, str(seq)] for seq, is_final in events]
        self._messages.put_nowait({"account": account_id, "events": rows})

    async def new_channel(self, prefix: str) -> str:
        return prefix

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self._messages.get()

    async def group_add(self, group: str, channel: str) -> None:
        await asyncio.sleep(0.02)
        self.groups.add(group)

    async def group_discard(self, group: str, channel: str) -> None:
        await asyncio.sleep(0.02)
        self.groups.discard(group)


@pytest.fixture
def layer() -> SlowLayer:
    return SlowLayer()


@pytest_asyncio.fixture
async def hub(layer: SlowLayer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    """One that hears the layer, and finds nothing new in the database."""
    monkeypatch.setattr(hub_module, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(hub_module, "in_database", nothing_new)
    monkeypatch.setattr(hub_module, "HEARTBEAT_EVERY_S", 0.01)
    made = Hub()
    yield made
    for task in made._tasks:
        task.cancel()


async def test_a_socket_that_comes_back_while_another_account_joins_is_not_forgotten(
    hub: Hub, layer: SlowLayer
) -> None:
    heard: list[str] = []
    first, second, back = socket_of(1, []), socket_of(2, []), socket_of(2, heard)

    await hub.join(first)
    await hub.join(second)
    hub.leave(second)  # its account comes up behind the first one's, which takes a while to join
    await asyncio.sleep(0.01)
    await hub.join(back)
    async with asyncio.timeout(5):
        while not heard or layer.groups != {"account.1", "account.2"}:
            await asyncio.sleep(0.01)


async def test_a_socket_just_after_its_order_was_announced_asks_no_database(
    hub: Hub, layer: SlowLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_log, "places", lambda *_: pytest.fail("the database was asked"))
    order_id, heard = uuid4(), []
    await hub.join(socket_of(1, []))  # so that the account's group is listened to
    layer.say(1, order_id, [(1, False), (2, False), (3, False)])
    async with asyncio.timeout(5):
        while (place := hub._recent.place_of(order_id)) is None or place.last_seq < 3:
            await asyncio.sleep(0.01)

    assert await hub.place_of(order_id, after=1) == Place(1, 3, is_final=False)
    await hub.join(socket_of(1, heard, order_id=order_id, after=1))

    assert heard == ["2", "3"]
    assert order_id not in hub._behind


async def test_a_group_is_left_some_time_after_its_last_socket(
    hub: Hub, layer: SlowLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LEAVE_GROUP_AFTER_S", 0.2)
    only = socket_of(1, [])
    await hub.join(only)
    async with asyncio.timeout(5):
        while layer.groups != {"account.1"}:
            await asyncio.sleep(0.01)

    hub.leave(only)
    await asyncio.sleep(0.1)
    assert layer.groups == {"account.1"}
    async with asyncio.timeout(5):
        while layer.groups:
            await asyncio.sleep(0.01)


def socket_of(
    account_id: int, heard: list[str], *, order_id: UUID | None = None, after: int = 0
) -> Subscription:
    async def send(text: str) -> None:
        heard.append(text)

    async def close(code: int) -> None:
        raise AssertionError(code)

    return Subscription(
        opened_by=Pass(account_id),
        order_id=order_id,
        send=send,
        close=close,
        seen={order_id: after} if order_id else {},
        newer_than=None if order_id else oldest_recent_id(),
    )


async def nothing_new(*_: Any, **__: Any) -> list[Any]:
    return []
