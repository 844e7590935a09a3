"""What tests of several pages do: stop the worker, cut a socket's line, wait for the engine, ask axe."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, WebSocketRoute

from orders.models import Order
from tests.engine import Worker

SERIOUS = ("serious", "critical")


@contextmanager
def stopped(worker: Worker) -> Iterator[None]:
    """Nothing is executed meanwhile."""
    worker.kill(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.kill(signal.SIGCONT)


class CutLine:
    """The way of a page's sockets to the engine, which a test cuts and mends."""

    def __init__(self) -> None:
        self._is_cut = False
        self._open: list[WebSocketRoute] = []

    def carry(self, socket: WebSocketRoute) -> None:
        if self._is_cut:
            socket.close(code=1001)
            return
        socket.connect_to_server()
        self._open.append(socket)

    def cut(self) -> None:
        self._is_cut = True
        for socket in self._open:
            socket.close(code=1001)
        self._open.clear()

    def mend(self) -> None:
        self._is_cut = False


def wait_for_the_end(order: Order, page: Page) -> None:
    """The engine's own view, while the page sees nothing."""
    for _ in range(100):
        order.refresh_from_db()
        if order.is_final:
            return
        page.wait_for_timeout(100)
    raise AssertionError(order.status)


def serious_violations(page: Page) -> list[dict[str, Any]]:
    page.wait_for_load_state("networkidle")
    # It would load style sheets again and put them inline, which the pages' policy forbids.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        {"id": each["id"], "where": [node["html"][:200] for node in each["nodes"]][:5]}
        for each in found
        if each["impact"] in SERIOUS
    ]
