"""Sockets while Redis or their key goes away: complete, or closed with the reason."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from django.conf import settings
from websockets.asyncio.client import connect

from orders import accounts
from orders.lifecycle import Status
from orders.models import Account, ApiKey, Order
from tests.engine import WebServer, Worker
from tests.factories import move, place
from tests.outage_proxy import OutageProxy
from tests.stream.client import Socket, later

pytestmark = pytest.mark.django_db(transaction=True)

SEQS = [1, 2, 3, 4, 5]
ORDERS_A_PHASE = 15


@pytest.fixture
async def behind_a_proxy() -> AsyncIterator[tuple[OutageProxy, WebServer]]:
    """A web server and a worker that reach Redis through a proxy."""
    with OutageProxy(settings.REDIS_URL) as proxy:
        web = await later(lambda: WebServer(REDIS_URL=proxy.url))
        worker = await later(lambda: Worker(REDIS_URL=proxy.url))
        yield proxy, web
        await later(worker.stop)
        await later(web.stop)


def wipe() -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as server:
        server.flushdb()


async def test_sockets_miss_nothing_while_redis_is_stopped_restarted_empty_and_wiped(
    behind_a_proxy: tuple[OutageProxy, WebServer], account: Account, api_key: str
) -> None:
    proxy, web = behind_a_proxy
    headers = {"Authorization": f"Bearer {api_key}"}
    url = f"ws://127.0.0.1:{web.port}"
    followed: list[asyncio.Task[tuple[list[dict[str, Any]], int | None]]] = []
    orders: list[Order] = []

    async def follow(order: Order) -> tuple[list[dict[str, Any]], int | None]:
        async with connect(f"{url}/ws/{order.id}", additional_headers=headers) as opened:
            return await Socket(opened).read_to_the_end()

    async def load() -> None:
        for number in range(ORDERS_A_PHASE):
            orders.append(await later(lambda: place(account)))
            if number % 5 == 0:
                followed.append(asyncio.create_task(follow(orders[-1])))
            await asyncio.sleep(0.05)

    async with connect(f"{url}/ws/orders", additional_headers=headers) as opened:
        stream = asyncio.create_task(seqs_of(Socket(opened), orders=4 * ORDERS_A_PHASE))
        await load()
        await later(proxy.refuse)
        await load()
        await later(wipe)
        await later(proxy.recover)
        await load()
        await later(wipe)
        await load()

        heard = await stream
        ends = await asyncio.gather(*followed)

    assert heard == {str(order.id): SEQS for order in orders}
    for messages, code in ends:
        assert [message["seq"] for message in messages] == SEQS
        assert code == 1000


async def seqs_of(client: Socket, *, orders: int) -> dict[str, list[int]]:
    """What an account's socket is sent, up to the end of so many orders."""
    heard: defaultdict[str, list[int]] = defaultdict(list)
    while sum(seqs[-1] == SEQS[-1] for seqs in heard.values()) < orders:
        message = await client.read()
        first = 1 if message["type"] == "order.snapshot" else message["seq"]
        heard[message["orderId"]] += range(first, message["seq"] + 1)
    return heard


async def test_the_log_says_once_that_redis_is_away_and_once_that_it_is_back(
    behind_a_proxy: tuple[OutageProxy, WebServer], account: Account, api_key: str
) -> None:
    proxy, web = behind_a_proxy
    headers = {"Authorization": f"Bearer {api_key}"}
    await later(proxy.refuse)

    async with connect(f"ws://127.0.0.1:{web.port}/ws/orders", additional_headers=headers):
        await later(lambda: web.says("hub.failed"))
        await asyncio.sleep(2.5)  # more than two tries
        await later(proxy.recover)
        await later(lambda: web.says("hub.recovered"))

    assert web.log.count("hub.failed") == 1
    assert web.log.count("hub.recovered") == 1


async def test_sockets_whose_key_is_revoked_are_closed_and_no_others(
    open_socket: Any, account: Account, api_key: str
) -> None:
    order = await later(lambda: place(account))
    other_key, _ = await later(lambda: accounts.issue_key(account=account, label="other"))
    async with (
        open_socket("/ws/orders") as of_all,
        open_socket(f"/ws/{order.id}") as of_one,
        open_socket("/api/orders/execute") as to_submit,
        open_socket(f"/ws/{order.id}", key=other_key) as of_another,
    ):
        assert (await of_all.read())["type"] == "order.snapshot"
        assert (await of_one.read())["seq"] == 1
        assert (await of_another.read())["seq"] == 1

        await later(lambda: accounts.revoke_key(ApiKey.objects.get(label="tests")))
        _, all_code = await of_all.read_to_the_end()
        _, one_code = await of_one.read_to_the_end()
        await to_submit.connection.send("{}")
        refusal, submit_code = await to_submit.read_to_the_end()
        await later(lambda: move(order, Status.ROUTING))

        assert (all_code, one_code, submit_code) == (4401, 4401, 4401)
        assert [message["code"] for message in refusal] == ["NOT_AUTHENTICATED"]
        assert (await of_another.read())["seq"] == 2


async def test_a_tickets_socket_is_closed_once_its_account_has_no_key_left(
    open_socket: Any, account: Account, api_key: str
) -> None:
    ticket, _ = await later(lambda: accounts.issue_ticket(account=account))
    async with open_socket(f"/ws/orders?ticket={ticket}", key=None) as client:
        await later(lambda: accounts.revoke_key(ApiKey.objects.get(account=account)))

        _, code = await client.read_to_the_end()

    assert code == 4401
