"""Being asked to stop while something is half done: ignored, or heard a moment later.

Python runs signal handlers in the main thread; in any other there is nothing to hold back.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ASK_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ignored() -> Iterator[None]:
    """Whoever asks meanwhile asks for what is being done."""
    with _heard_by(signal.SIG_IGN):
        yield


@contextmanager
def held_back() -> Iterator[None]:
    """What is asked meanwhile is heard on the way out: a process that is started is known by then."""
    asked: list[int] = []
    try:
        with _heard_by(lambda number, frame: asked.append(number)):
            yield
    finally:
        for number in asked:
            signal.raise_signal(number)


@contextmanager
def _heard_by(
    listener: Callable[[int, FrameType | None], None] | signal.Handlers,
) -> Iterator[None]:
    in_main_thread = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in ASK_TO_STOP if in_main_thread}
    try:
        for number, handler in handlers.items():
            # Nobody listens (`nohup`): that stays so, for a child that is started, too.
            if handler is not signal.SIG_IGN:
                signal.signal(number, listener)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
