"""One order's socket: every event, once, in order, whatever is cut; also when it submits the order itself."""

import asyncio
import json
import random
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, Order
from tests.factories import let_quotes_expire, move, place, quoted
from tests.stream.client import ORDER, execute, later

pytestmark = pytest.mark.django_db(transaction=True)


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


async def test_a_socket_takes_an_order_on_a_quote_and_streams_what_was_promised(
    open_socket: Any, account: Account, desk: TradingDesk
) -> None:
    quote = await later(lambda: quoted(account, desk))

    async with open_socket("/api/orders/execute") as client:
        await client.connection.send(json.dumps(ORDER | {"quoteId": str(quote.id)}))
        first = await client.read()
        order = await later(lambda: Order.objects.get(id=first["orderId"]))
        await execute(order, desk)
        rest, code = await client.read_to_the_end()

    assert (first["quoteId"], first["minAmountOut"]) == (
        str(quote.id),
        quote.document["minAmountOut"],
    )
    assert rest[-1]["amountOut"] == quote.document["amountOut"]
    assert code == 1000


@pytest.mark.parametrize("expired", [True, False])
async def test_a_socket_is_told_that_its_quote_is_too_old_or_unknown(
    open_socket: Any, account: Account, desk: TradingDesk, expired: bool
) -> None:
    quote = await later(lambda: quoted(account, desk))
    if expired:
        await later(let_quotes_expire)
    named = str(quote.id) if expired else "019aa3f1-2b4c-7d5e-8f60-0123456789ab"

    async with open_socket("/api/orders/execute") as client:
        await client.connection.send(json.dumps(ORDER | {"quoteId": named}))
        messages, close_code = await client.read_to_the_end()

    (told,) = messages
    assert (told["type"], told["code"], told["errors"][0]["code"]) == (
        ("problem", "QUOTE_EXPIRED", "QUOTE_EXPIRED")
        if expired
        else ("problem", "VALIDATION_FAILED", "QUOTE_NOT_FOUND")
    )
    assert close_code == 4400
    assert await later(Order.objects.count) == 0


@pytest.mark.parametrize(("key", "close_code"), [(None, 4401), ("the right one", 4400)])
async def test_what_comes_behind_a_refusal_is_not_an_order(
    open_socket: Any, account: Account, api_key: str, key: str | None, close_code: int
) -> None:
    async with open_socket("/api/orders/execute", key=key and api_key) as client:
        # The refusal may come before the last of them is sent.
        with suppress(ConnectionClosed):
            for message in ("{", json.dumps(ORDER), json.dumps(ORDER)):
                await client.connection.send(message)
        messages, closed_with = await client.read_to_the_end()

    # A whole order later, the server has long dealt with whatever it took from the first socket.
    async with open_socket("/api/orders/execute") as client:
        await client.connection.send(json.dumps(ORDER))
        assert (await client.read())["status"] == "pending"

    assert [message["type"] for message in messages] == ["problem"]
    assert closed_with == close_code
    assert await later(Order.objects.count) == 1
