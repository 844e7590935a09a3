"""Engines that say what a test wrote: answers to a submission, or the messages of a stream."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.sync.server import ServerConnection, serve

from orders.demo.client import Engine
from orders.demo.order import Swap


class AcceptingEngine(Engine):
    """Accepts every order, and names a stream that the test wrote."""

    def __init__(self, stream_url: str) -> None:
        super().__init__(url="http://127.0.0.1:1", api_key="any")
        self._stream_url = stream_url

    def submit(self, swap: Swap) -> tuple[str, str]:
        return "019aa3f1-0000-7000-8000-0123456789ab", self._stream_url


@contextmanager
def streaming(
    messages: list[dict[str, Any]], *, close_code: int = 1000, stays_open: bool = False
) -> Iterator[AcceptingEngine]:
    over = threading.Event()

    def stream(socket: ServerConnection) -> None:
        for message in messages:
            socket.send(json.dumps(message))
        if stays_open:
            over.wait(10)
        socket.close(close_code)

    with serve(stream, "127.0.0.1", 0) as server, running(server.serve_forever, server.shutdown):
        yield AcceptingEngine(f"ws://127.0.0.1:{server.socket.getsockname()[1]}")
        over.set()


@contextmanager
def answering(status: int, headers: dict[str, str], body: str) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server,
        running(server.serve_forever, server.shutdown),
    ):
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def running(serve_forever: Callable[[], None], shutdown: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        shutdown()
        thread.join(timeout=5)
