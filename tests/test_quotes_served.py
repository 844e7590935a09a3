"""Quotes by the servers that answer REST: each has threads of its own kind, and none of them a loop."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from orders.models import Account
from tests.api.client import EXECUTE, ORDER, QUOTES
from tests.engine import RestServer, WebServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[WebServer, RestServer], ids=["daphne", "granian"])
def web(account: Account, request: pytest.FixtureRequest) -> Iterator[WebServer]:
    server: WebServer = request.param(MOCK_QUOTE_DELAY_MS="50")
    yield server
    server.stop()


def test_a_quote_can_be_ordered_where_it_was_made(web: WebServer, api_key: str) -> None:
    def post(path: str, body: dict[str, Any]) -> Any:
        answer = httpx.post(
            f"http://127.0.0.1:{web.port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=30,
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    quote = post(QUOTES, {name: ORDER[name] for name in ("tokenIn", "tokenOut", "amount")})
    order = post(EXECUTE, ORDER | {"quoteId": quote["quoteId"]})

    assert {each["venue"] for each in quote["quotes"]} >= {"raydium", "meteora"}
    assert Decimal(quote["amountOut"]) > Decimal(quote["minAmountOut"]) > 0
    assert (order["quoteId"], order["minAmountOut"]) == (quote["quoteId"], quote["minAmountOut"])
