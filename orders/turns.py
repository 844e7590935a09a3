"""Whose turn it is: of a process's threads, two at a time work on batches of orders; the others wait outside.

They share one interpreter, so more batches at once would only be smaller ones that take as long. Two, because one can
compute while the other waits for PostgreSQL. Whoever waits for its turn finds more orders due when it comes; whoever
waits long for a venue or the chain lets the next one in.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 2
# Shorter waits are sat out: who lets somebody in for a moment comes back to a second, smaller batch.
WORTH_LEAVING_S = 0.05
WEIGHT_OF_THE_LAST = 0.2

_turns = threading.Semaphore(AT_ONCE)
_closed = threading.Event()
_mine = threading.local()
_usual_s: dict[str, float] = {}


class NoMoreTurns(Exception):
    """This process is about to stop: whoever still waits begins nothing."""


def give_no_more() -> None:
    """Those that work go on to their end. A signal handler may call it."""
    _closed.set()


def are_over() -> bool:
    """Whether this process is about to stop."""
    return _closed.is_set()


@contextmanager
def mine() -> Iterator[None]:
    """This thread's turn, once it comes. Raises NoMoreTurns."""
    with _turns:
        if _closed.is_set():
            raise NoMoreTurns
        _mine.is_held = True
        try:
            yield
        finally:
            _mine.is_held = False


def are_quick(*waits: str) -> bool:
    """Whether these usually take no longer than what would have to be done meanwhile. Not of one never seen."""
    return all(_usual_s.get(what, math.inf) < WORTH_LEAVING_S for what in waits)


@contextmanager
def outside(what: str) -> Iterator[None]:
    """Wait for something outside; if that usually takes long, let the next one in meanwhile, and come back in turn."""
    began = time.monotonic()
    leaves = getattr(_mine, "is_held", False) and _usual_s.get(what, 0.0) >= WORTH_LEAVING_S
    if leaves:
        _turns.release()
    try:
        yield
    finally:
        took_s = time.monotonic() - began
        usual_s = _usual_s.setdefault(what, took_s)
        _usual_s[what] = usual_s + WEIGHT_OF_THE_LAST * (took_s - usual_s)
        if leaves:
            _turns.acquire()
