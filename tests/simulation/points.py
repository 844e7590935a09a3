"""Where a simulated process can die, sleep, or lose its database: before and after each thing that it does."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol
from unittest.mock import patch
from uuid import UUID

from django.db import connections

from orders import background, journal, leases, observe, stream, tasks
from orders.models import Order
from orders.stream import Event
from routing.chain import Chain
from tests.simulation import virtual_loop


class Crash(BaseException):
    """kill -9: nothing of the process's own code runs after it."""


class Watcher(Protocol):
    """The world: it decides what happens at a point, and judges what it sees."""

    def point(self, name: str, *, database: bool) -> None: ...

    def about_to_send(self, raw: bytes) -> None: ...

    def claimed(self, order: Order) -> None: ...

    def hint(self, order_ids: Collection[UUID], *, after_s: float = 0.0) -> None: ...

    def hint_soon(self, order_ids: Sequence[UUID]) -> None: ...

    def failed(self, *, error: Exception, **where: object) -> None: ...

    def announced(self, events: Sequence[Event]) -> None: ...


class WatchedChain:
    """A process's way to the chain. What stands behind it can be exchanged: a bad day can end."""

    def __init__(self, chain: Chain, watcher: Watcher) -> None:
        self.chain = chain
        self._watcher = watcher

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.chain, name)

        def watched(*args: Any, **options: Any) -> Any:
            if name == "send_many":
                for raw in args[0]:
                    self._watcher.about_to_send(raw)
            self._watcher.point(f"before {name}", database=False)
            try:
                return call(*args, **options)
            finally:
                self._watcher.point(f"after {name}", database=False)

        return watched


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Let the watcher see, and interrupt, every statement and message of this thread."""
    with ExitStack() as stack:
        for module, name in (
            (journal, "_execute"),
            (leases, "claim"),
            (leases, "renew"),
            (leases, "overdue"),
        ):
            stack.enter_context(
                patch.object(module, name, _statement(getattr(module, name), name, watcher))
            )
        stack.enter_context(patch.object(background, "run", virtual_loop.run))
        # One session, which knows what time it is.
        stack.enter_context(patch.object(connections["default"], "close", lambda: None))
        stack.enter_context(patch.object(tasks, "hint", watcher.hint))
        stack.enter_context(patch.object(tasks, "hint_soon", watcher.hint_soon))
        stack.enter_context(patch.object(stream, "publish", watcher.announced))
        stack.enter_context(patch.object(observe, "execution_failed", watcher.failed))
        yield


def _statement(statement: Callable[..., Any], name: str, watcher: Watcher) -> Callable[..., Any]:
    def watched(*args: Any, **options: Any) -> Any:
        watcher.point(f"before {name}", database=True)
        answer = statement(*args, **options)
        if name == "claim":
            # The order of a set's rows is PostgreSQL's own; a replay must not depend on it.
            answer = sorted(answer, key=lambda order: order.id)
            for order in answer:
                watcher.claimed(order)
        watcher.point(f"after {name}", database=True)
        return answer

    return watched
