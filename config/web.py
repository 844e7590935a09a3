"""The web server: Daphne, with a bound on what a slow reader may leave unread.

Daphne never blocks a send, so a client that stops reading would have its events kept in memory without end. Here such a
socket is closed with 1013 (try again later); it can come back with `?after=SEQ` and miss nothing. A file that is
downloaded waits for its reader, as long as that one reads at all.
"""

import asyncio
import os
import sys
from functools import partial
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from daphne.cli import CommandLineInterface
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol

MAX_UNREAD_BYTES = 256 * 1024
MAX_MESSAGE_BYTES = 64 * 1024
# How long a client has to read a close frame, behind all that it has not read yet.
CLOSE_TIMEOUT_S = 5
# How long the reader of a file may read nothing.
READ_TIMEOUT_S = 30
LOOK_EVERY_S = 0.05
INTERNAL_ERROR, TRY_AGAIN_LATER = 1011, 1013
SERVER_CODES = (INTERNAL_ERROR, TRY_AGAIN_LATER)


class BoundedServer(Server):  # type: ignore[misc]
    """Refuses messages that are too large (1009), and drops readers that are too slow (1013)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        limits = {
            "websocket_max_message_size": MAX_MESSAGE_BYTES,
            "websocket_max_frame_size": MAX_MESSAGE_BYTES,
        }
        super().__init__(*args, **kwargs | limits, ready_callable=self.say_why_sockets_close)

    def say_why_sockets_close(self) -> None:
        """A protocol error sends its close code first; by default the connection is just dropped."""
        self.ws_factory.protocol = BoundedProtocol
        self.ws_factory.setProtocolOptions(failByDrop=False, closeHandshakeTimeout=CLOSE_TIMEOUT_S)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """A socket's application can ask how much its client has not read yet, and wait."""
        if scope["type"] == "websocket":
            scope["unread_bytes"] = partial(unread_bytes, protocol.transport)
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close" and message.get("code") in SERVER_CODES:
            close(protocol, message["code"])
            return
        await super().handle_reply(protocol, message)
        if message["type"] == "http.response.body" and message.get("more_body"):
            await until_read(protocol.transport)
        if (
            message["type"] == "websocket.send"
            and unread_bytes(protocol.transport) > MAX_UNREAD_BYTES
        ):
            close(protocol, TRY_AGAIN_LATER)


class BoundedProtocol(WebSocketProtocol):  # type: ignore[misc]
    """Bounds the answers to pings, which a client can ask for and never read."""

    def onPing(self, payload: bytes) -> None:
        if unread_bytes(self.transport) > MAX_UNREAD_BYTES:
            self.transport.abortConnection()
        else:
            super().onPing(payload)


def close(protocol: Any, code: int) -> None:
    """Close with a code that the protocol keeps to itself; what is unread CLOSE_TIMEOUT_S later is dropped."""
    if protocol.state == protocol.STATE_OPEN:
        protocol.sendCloseFrame(code=code, isReply=False)


async def until_read(transport: Any) -> None:
    """Wait until a client has read most of what it was sent; one that reads nothing any more is cut off."""
    unread, waited_s = unread_bytes(transport), 0.0
    while transport.connected and unread > MAX_UNREAD_BYTES:
        if waited_s >= READ_TIMEOUT_S:
            transport.abortConnection()
            return
        await asyncio.sleep(LOOK_EVERY_S)
        before, unread = unread, unread_bytes(transport)
        waited_s = 0.0 if unread < before else waited_s + LOOK_EVERY_S


def unread_bytes(transport: Any) -> int:
    """What Twisted holds for a client because the kernel would take no more."""
    unread: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return unread


class CommandLine(CommandLineInterface):  # type: ignore[misc]
    server_class = BoundedServer


if __name__ == "__main__":
    # No access log: the engine's own lines say what happened, and addresses may carry tickets.
    CommandLine().run(["--verbosity", "0", *sys.argv[1:], "config.asgi:application"])
