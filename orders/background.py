"""One event loop per process, in a daemon thread, for what pays to be async: quote fan-out and group messages.

It is uvloop's: an order wakes it a dozen times, and asyncio's own costs a tenth of an order's processor time more.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    threading.Thread(target=loop.run_forever, name="background-loop", daemon=True).start()
    return loop


_starting = threading.Lock()


def submit(coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
    """Start it and go on. Callable from any thread but the loop's own."""
    with _starting:  # `cache` alone would let two first callers make two loops
        loop = _loop()
    return asyncio.run_coroutine_threadsafe(coroutine, loop)


def run(coroutine: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
    """Wait for its result; on time-out it is cancelled and TimeoutError raised."""
    future = submit(coroutine)
    try:
        return future.result(timeout_s)
    except TimeoutError:
        future.cancel()
        raise
