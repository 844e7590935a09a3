"""Whose turn it is: of a process's threads, two at a time work on batches of orders; the others wait outside.

They share one interpreter, so more batches at once would only be smaller ones that take as long. Two, because one can
compute while the other waits for PostgreSQL. Whoever waits for its turn finds more orders due when it comes; whoever
waits for a venue or the chain lets the next one in.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 2

_turns = threading.Semaphore(AT_ONCE)
_mine = threading.local()


@contextmanager
def mine() -> Iterator[None]:
    """This thread's turn, once it comes."""
    with _turns:
        _mine.is_held = True
        try:
            yield
        finally:
            _mine.is_held = False


@contextmanager
def outside() -> Iterator[None]:
    """Let the next one in meanwhile; come back in turn. Nothing to let go for whoever works without a turn."""
    if not getattr(_mine, "is_held", False):
        yield
        return
    _mine.is_held = False
    _turns.release()
    try:
        yield
    finally:
        _turns.acquire()
        _mine.is_held = True
