"""`config.sockets` with short time-outs, and little that the kernel keeps for a reader."""

import socket
import sys
from asyncio import BaseTransport

from config import sockets

sockets.CLOSE_TIMEOUT_S = 0.5


class ImpatientProtocol(sockets.BoundedProtocol):
    def connection_made(self, transport: BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().connection_made(transport)


if __name__ == "__main__":
    sockets.serve(
        host="127.0.0.1",
        port=int(sys.argv[sys.argv.index("--port") + 1]),
        ws=ImpatientProtocol,
        ws_ping_interval=float(sys.argv[sys.argv.index("--ping-s") + 1]),
        ws_ping_timeout=0.5,
    )
