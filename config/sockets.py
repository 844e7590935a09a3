"""The sockets' own server, for when REST has one of its own: uvicorn, with the bounds that `config.web` gives Daphne.

A send never waits: one reader that stopped reading must not hold up the hub for the others. What a client leaves unread
is bounded by closing its socket with 1013 (try again later); it can come back with `?after=SEQ` and miss nothing.
"""

import argparse
import logging
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from config.web import CLOSE_TIMEOUT_S, MAX_MESSAGE_BYTES, MAX_UNREAD_BYTES, TRY_AGAIN_LATER


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Drops readers that are too slow (1013)."""

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
            # One that reads no more would keep what it was sent, and the connection, for ever.
            self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)
        elif self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES and not self.close_sent:
            await self.send({"type": "websocket.close", "code": TRY_AGAIN_LATER})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.sockets", description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    told = parser.parse_args()
    uvicorn.run(
        "config.asgi:application",
        host=told.bind,
        port=told.port,
        loop="uvloop",
        http="httptools",
        proxy_headers=False,
        ws=BoundedProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        backlog=4096,
        timeout_graceful_shutdown=2,
        # No access log: the engine's own lines say what happened, and addresses may carry tickets.
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
    )


if __name__ == "__main__":
    main()
