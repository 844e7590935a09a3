"""A TCP proxy in front of a server that can refuse, go dark, or lose the answer to one kind of request."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from tests.cutting_proxy import hang_up


class OutageProxy:
    """Passes bytes on to the server that `url` names, until a test says otherwise; `self.url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self._lights: list[threading.Event] = []
        self._turn_on_a_light()
        self._loses_answers_to: bytes | None = None
        self._open: list[socket.socket] = []
        login, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{login}{at}127.0.0.1:{self._address[1]}").geturl()

    def __enter__(self) -> "OutageProxy":
        self._listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        for light in self._lights:
            light.set()

    def go_dark(self) -> None:
        """Like a server that is frozen: connections stay, new ones are taken by the kernel, and no byte passes."""
        self._lights[-1].clear()

    def refuse(self) -> None:
        """Like a server that is stopped: every connection ends, new ones are refused."""
        # Shut down first: closing alone doesn't wake the thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def lose_answers_to(self, request: bytes) -> None:
        """Once a connection has passed bytes that contain this, nothing comes back on it any more."""
        self._loses_answers_to = request

    def recover(self, *, leaves_old_in_the_dark: bool = False) -> None:
        """Everything passes again, and what waited in the dark goes on its way; or only new connections have light."""
        self._loses_answers_to = None
        if leaves_old_in_the_dark:
            self._turn_on_a_light()
        self._lights[-1].set()
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(self._address)
            self._listen()

    def _turn_on_a_light(self) -> None:
        self._lights.append(threading.Event())
        self._lights[-1].set()

    def _cut(self) -> None:
        opened, self._open = self._open, []
        for end in opened:
            hang_up(end)

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._open.append(client)
                threading.Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        light = self._lights[-1]
        light.wait()
        try:
            upstream = socket.create_connection(self._upstream)
        except OSError:  # the server itself is away
            return hang_up(client)
        self._open.append(upstream)
        is_mute = threading.Event()
        threading.Thread(
            target=pump_answers, args=[upstream, client, light, is_mute], daemon=True
        ).start()
        with suppress(OSError):
            while received := client.recv(65536):
                light.wait()
                if self._loses_answers_to and self._loses_answers_to in received:
                    is_mute.set()
                upstream.sendall(received)
        hang_up(upstream)


def pump_answers(
    upstream: socket.socket,
    client: socket.socket,
    light: threading.Event,
    is_mute: threading.Event,
) -> None:
    with suppress(OSError):
        while received := upstream.recv(65536):
            light.wait()
            if not is_mute.is_set():
                client.sendall(received)
    hang_up(client)
