"""The sockets' own server, for when REST has one of its own: uvicorn, with the bounds that `config.web` gives Daphne.

A send never waits: one reader that stopped reading must not hold up the hub for the others. What a client leaves unread
is bounded by closing its socket with 1013 (try again later); it can come back with `?after=SEQ` and miss nothing.
"""

import argparse
import asyncio
import logging
import os
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from config.web import CLOSE_TIMEOUT_S, MAX_MESSAGE_BYTES, MAX_UNREAD_BYTES, TRY_AGAIN_LATER

ABNORMAL = 1006


class PatientTransport:
    """A closed transport keeps its connection until all is read, which may be never: this one waits CLOSE_TIMEOUT_S."""

    def __init__(self, transport: asyncio.BaseTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.close()
            self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Drops readers that are too slow (1013), and those that keep a closed connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Uvicorn closes in a dozen places.
        super().connection_made(cast(asyncio.Transport, PatientTransport(transport, self.loop)))

    def eof_received(self) -> None:
        self.transport.close()

    def keepalive_timeout(self) -> None:
        """Its application is told now, not when the connection ends."""
        super().keepalive_timeout()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": ABNORMAL})

    def pause_writing(self) -> None:
        """The transport keeps what the kernel doesn't take; how much that may be is asked after each send."""

    def handle_ping(self) -> None:
        """Answers that nobody reads are bounded, too."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()

    async def run_asgi(self) -> None:
        """A socket's application can ask how much its client has not read yet, and wait."""
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["unread_bytes"] = self.transport.get_write_buffer_size
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            # Uvicorn closes the transport only when the client has answered, or after 10 s.
            self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)
        elif self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES and not self.close_sent:
            await self.send({"type": "websocket.close", "code": TRY_AGAIN_LATER})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.sockets", description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    told = parser.parse_args()
    serve(host=told.bind, port=told.port)


def serve(**options: Any) -> None:
    """Until a signal ends it. `options` are uvicorn's, before ours."""
    ours: dict[str, Any] = {
        "loop": "uvloop",
        "http": "httptools",
        "proxy_headers": False,
        "ws": BoundedProtocol,
        "ws_max_size": MAX_MESSAGE_BYTES,
        "ws_per_message_deflate": False,
        "lifespan": "off",
        "backlog": 4096,
        "timeout_graceful_shutdown": 2,
        # No access log: the engine's own lines say what happened, and addresses may carry tickets.
        "access_log": False,
        "log_config": None,
        "log_level": logging.WARNING,
    }
    uvicorn.run("config.asgi:application", **ours | options)


if __name__ == "__main__":
    main()
