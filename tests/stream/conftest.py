"""A real web server on the test database, and sockets to it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.engine import WebServer
from tests.stream.client import Socket


@pytest.fixture(scope="package")
def web(django_db_setup: None) -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def open_socket(web: WebServer, api_key: str) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_socket(
        path: str, *, key: str | None = api_key, **options: Any
    ) -> AsyncIterator[Socket]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with connect(
            f"ws://127.0.0.1:{web.port}{path}", additional_headers=headers, **options
        ) as opened:
            yield Socket(opened)

    return open_socket
