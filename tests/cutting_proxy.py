"""A TCP proxy that cuts every WebSocket after so many messages; plain HTTP goes through whole."""

import re
import socket
import threading
from contextlib import suppress
from types import TracebackType

TEXT = 0x1


class CuttingProxy:
    """`extra_bytes` of the next message still go through, so that the cut is in the middle of it."""

    def __init__(self, *, port: int, messages: int, extra_bytes: int = 0) -> None:
        self._upstream = ("127.0.0.1", port)
        self._messages = messages
        self._extra_bytes = extra_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        # The `?after=` of each socket.
        self.asked_after: list[int] = []

    def __enter__(self) -> "CuttingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Shut down first: closing alone doesn't wake the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.create_connection(self._upstream)
                for pump in (self._pump_requests, self._pump_answers):
                    threading.Thread(target=pump, args=(client, upstream), daemon=True).start()

    def _pump_requests(self, client: socket.socket, upstream: socket.socket) -> None:
        with suppress(OSError):
            while received := client.recv(65536):
                if after := re.match(rb"GET \S+[?&]after=(\d+)", received):
                    self.asked_after.append(int(after[1]))
                upstream.sendall(received)
        hang_up(upstream)

    def _pump_answers(self, client: socket.socket, upstream: socket.socket) -> None:
        answer = b""
        sent = 0
        with suppress(OSError):
            while received := upstream.recv(65536):
                answer += received
                end = self._where_to_cut(answer)
                client.sendall(answer[sent : end if end is None else end + self._extra_bytes])
                sent = len(answer)
                if end is not None and len(answer) >= end + self._extra_bytes:
                    break
        hang_up(client)
        hang_up(upstream)

    def _where_to_cut(self, answer: bytes) -> int | None:
        """Behind the last message that may pass, once it is there whole; None before that."""
        head, separator, _ = answer.partition(b"\r\n\r\n")
        if not (separator and head.startswith(b"HTTP/1.1 101")):
            return None
        position = len(head) + len(separator)
        messages = 0
        while (end := end_of_frame(answer, position)) is not None:
            messages += answer[position] & 0x0F == TEXT
            position = end
            if messages == self._messages:
                return position
        return None


def end_of_frame(answer: bytes, start: int) -> int | None:
    """Where a frame from a server, which is never masked, ends (RFC 6455, 5.2); None if it isn't there whole."""
    if len(answer) < start + 2:
        return None
    length, position = answer[start + 1] & 0x7F, start + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        length, position = (
            int.from_bytes(answer[position : position + size], "big"),
            position + size,
        )
    return position + length if len(answer) >= position + length else None


def hang_up(end: socket.socket) -> None:
    """What was sent still arrives."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
