"""An asyncio loop in virtual time: nobody waits, and what happens depends on no machine's speed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """When nothing is left to do now, it is later."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self._now_s = max(self._now_s, self._scheduled[0]._when)
        super()._run_once()

    def run_in_executor(self, executor: Any, call: Callable[..., T], *args: Any) -> Any:
        """At once, in this thread: a thread would take real time."""
        future: asyncio.Future[T] = self.create_future()
        future.set_result(call(*args))
        return future


def run(coroutine: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
    """See `orders.background.run`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(asyncio.wait_for(coroutine, timeout_s))
