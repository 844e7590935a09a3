"""Sockets to real servers on the test database: whatever a stream promises, each server keeps."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.engine import StreamServer, WebServer
from tests.stream.client import Socket


@pytest.fixture(scope="package", params=[WebServer, StreamServer], ids=["daphne", "uvicorn"])
def web(django_db_setup: None, request: pytest.FixtureRequest) -> Iterator[WebServer]:
    server: WebServer = request.param()
    yield server
    server.stop()


@pytest.fixture
def open_socket(web: WebServer, api_key: str) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_socket(
        path: str, *, key: str | None = api_key, **options: Any
    ) -> AsyncIterator[Socket]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= options.pop("additional_headers", {})
        async with connect(
            f"ws://127.0.0.1:{web.port}{path}", additional_headers=headers, **options
        ) as opened:
            yield Socket(opened)

    return open_socket
