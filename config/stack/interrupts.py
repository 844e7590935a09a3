"""Being asked to stop while something is half done: ignored, or heard a moment later.

Python runs signal handlers in the main thread; in any other there is nothing to hold back.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASK_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ignored() -> Iterator[None]:
    """Whoever asks meanwhile asks for what is being done."""
    handlers = {number: signal.getsignal(number) for number in _heard_here()}
    try:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """What is asked meanwhile is heard on the way out: a process that is started is known by then."""
    asked: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _heard_here()}

    def remember(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    try:
        for number, handler in handlers.items():
            # A child would lose what it inherits: that nobody listens.
            if handler is not signal.SIG_IGN:
                signal.signal(number, remember)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for each in asked:
            signal.raise_signal(each)


def _heard_here() -> tuple[signal.Signals, ...]:
    return ASK_TO_STOP if threading.current_thread() is threading.main_thread() else ()
