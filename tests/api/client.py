"""A client that talks JSON as one account, and what every refusal must look like."""

import json
from typing import Any

from django.test import Client

from orders.models import Order

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5", "orderType": "market"}
EXECUTE = "/api/orders/execute"
BATCH = "/api/orders/batch"
QUOTES = "/api/quotes"


class Api:
    """Talks JSON as one account."""

    def __init__(self, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = Client(headers=headers, raise_request_exception=False)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        data = (
            body if isinstance(body, (bytes, str)) else json.dumps(body if body is not None else {})
        )
        content_type = headers.pop("content_type", "application/json")
        return self._client.post(path, data=data, content_type=content_type, headers=headers)

    def get(self, path: str, **query: str) -> Any:
        return self._client.get(path, query)

    def put(self, path: str) -> Any:
        return self._client.put(path, data="{}", content_type="application/json")


def assert_problem(response: Any, status: int, *, stored: int | None = None) -> dict[str, Any]:
    """A complete problem document; and no order was stored that the test didn't make itself."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["code"].isupper() and problem["detail"] and problem["title"]
    assert isinstance(problem["retryable"], bool)
    if stored is not None or (
        response.request["REQUEST_METHOD"] == "POST" and status in (400, 413, 415)
    ):
        assert Order.objects.count() == (stored or 0)
    return problem
