"""Turns: how many threads of a process work on batches at once, and when one lets another in."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orders import turns
from tests.waiting import wait_until


class Threads:
    """Threads that want a turn each, and keep it until they are told to go on."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.inside = 0
        self.go_on = threading.Event()

    def come(self, count: int, *, what: str | None = None) -> None:
        for _ in range(count):
            self._pool.submit(self._take_a_turn, what)

    def _take_a_turn(self, what: str | None) -> None:
        with turns.mine():
            self.inside += 1
            if what is None:
                self.go_on.wait(10)
            else:
                with turns.outside(what):
                    self.go_on.wait(10)


@pytest.fixture
def threads() -> Iterator[Threads]:
    with ThreadPoolExecutor(10) as pool:
        threads = Threads(pool)
        yield threads
        threads.go_on.set()


def test_the_others_wait_for_their_turn(threads: Threads) -> None:
    threads.come(turns.AT_ONCE + 3)

    wait_until(lambda: threads.inside == turns.AT_ONCE, what="as many as may")
    threads.go_on.wait(0.1)
    assert threads.inside == turns.AT_ONCE

    threads.go_on.set()
    wait_until(lambda: threads.inside == turns.AT_ONCE + 3, what="everybody's turn")


def test_who_waits_long_outside_lets_the_next_one_in(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(turns._usual_s, "a slow venue", 10 * turns.WORTH_LEAVING_S)

    threads.come(turns.AT_ONCE + 3, what="a slow venue")

    wait_until(lambda: threads.inside == turns.AT_ONCE + 3, what="everybody, outside")


def test_a_short_wait_is_sat_out(threads: Threads) -> None:
    threads.come(turns.AT_ONCE + 3, what="a fast venue")

    wait_until(lambda: threads.inside == turns.AT_ONCE, what="as many as may")
    threads.go_on.wait(0.1)
    assert threads.inside == turns.AT_ONCE


def test_how_long_a_wait_usually_takes_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])

    for _ in range(10):
        with turns.outside("a venue that has become slow"):
            now[0] += 1.0

    assert turns._usual_s["a venue that has become slow"] > turns.WORTH_LEAVING_S


def test_only_what_was_seen_to_be_quick_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: now[0])

    with turns.outside("a venue"):
        pass
    assert turns.are_quick("a venue")
    assert not turns.are_quick("a venue", "a node that nobody has asked")

    for _ in range(3):
        with turns.outside("a venue"):
            now[0] += 0.2
    assert not turns.are_quick("a venue")


def test_who_waits_while_the_process_is_about_to_stop_begins_nothing(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_closed", threading.Event())
    threads.come(turns.AT_ONCE + 3)
    wait_until(lambda: threads.inside == turns.AT_ONCE, what="as many as may")

    turns.give_no_more()
    threads.go_on.set()

    with pytest.raises(turns.NoMoreTurns), turns.mine():
        pass
    assert threads.inside == turns.AT_ONCE
