"""Group commit: what a crowd shares, and what each of it gets."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from orders.gathering import AsyncGathering, Gathering, TurnMissed
from tests.waiting import wait_until


class Doubling:
    """Work that notes its rounds; while `gate` is shut, a round doesn't end."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items: Sequence[int]) -> list[int | BaseException]:
        self.rounds.append(list(items))
        self.gate.wait(10)
        if 13 in items:
            raise ArithmeticError("thirteen")
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]


def test_a_lone_call_is_carried_out_at_once() -> None:
    work = Doubling()
    together = Gathering(work, most=10)

    assert [together(1), together(2)] == [2, 4]
    assert work.rounds == [[1], [2]]


def in_one_round(work: Doubling, together: Gathering[int, int], items: Sequence[int]) -> list:  # type: ignore[type-arg]
    """Each item's future; all but the first were called while the first was at work."""
    work.gate.clear()
    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(together, 0)
        wait_until(lambda: work.rounds, what="the first round")
        futures = []
        for count, item in enumerate(items, start=1):
            futures.append(pool.submit(together, item))
            wait_until(lambda count=count: len(together._calls) == count, what="a waiting call")
        work.gate.set()
        assert first.result(10) == 0
        for future in futures:
            future.exception(10)
    return futures


def test_what_comes_while_somebody_works_is_carried_out_together() -> None:
    work = Doubling()
    together = Gathering(work, most=3)

    futures = in_one_round(work, together, [1, 2, 3, 4])

    assert [future.result() for future in futures] == [2, 4, 6, 8]
    assert work.rounds == [[0], [1, 2, 3], [4]]


def test_each_has_its_own_answer() -> None:
    work = Doubling()
    together = Gathering(work, most=10)

    good, bad = in_one_round(work, together, [1, -1])

    assert good.result() == 2
    with pytest.raises(ValueError, match="-1"):
        bad.result()


def test_a_round_that_fails_fails_for_those_in_it_and_the_next_goes_on() -> None:
    work = Doubling()
    together = Gathering(work, most=2)

    futures = in_one_round(work, together, [1, 13, 5])

    assert [type(future.exception()) for future in futures] == [
        ArithmeticError,
        ArithmeticError,
        type(None),
    ]
    assert futures[2].result() == 10
    assert together(7) == 14


def test_who_waits_too_long_for_its_turn_leaves_and_the_others_go_on() -> None:
    work = Doubling()
    together = Gathering(work, most=10)
    work.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(together, 0)
        wait_until(lambda: work.rounds, what="the first round")
        leaves = pool.submit(together, 1, turn_within_s=0.1)
        wait_until(lambda: len(together._calls) == 1, what="a waiting call")
        stays = pool.submit(together, 2, turn_within_s=10)
        wait_until(lambda: len(together._calls) == 2, what="another")

        with pytest.raises(TurnMissed):
            leaves.result(10)
        work.gate.set()

        assert (first.result(10), stays.result(10)) == (0, 4)
    assert work.rounds == [[0], [2]]
    assert together(3) == 6


def test_whose_round_has_begun_gets_its_answer_however_late() -> None:
    work = Doubling()
    together = Gathering(work, most=10)
    with ThreadPoolExecutor(3) as pool:
        work.gate.clear()
        pool.submit(together, 0)
        wait_until(lambda: work.rounds, what="the first round")
        leads = pool.submit(together, 1)
        wait_until(lambda: len(together._calls) == 1, what="a waiting call")
        late = pool.submit(together, 2, turn_within_s=0.5)
        wait_until(lambda: len(together._calls) == 2, what="another")
        first_gate, work.gate = work.gate, threading.Event()
        first_gate.set()
        wait_until(lambda: len(work.rounds) == 2, what="the second round")

        with pytest.raises(TimeoutError):
            late.result(0.6)  # longer than it would have waited for its turn
        work.gate.set()

        assert (leads.result(10), late.result(10)) == (2, 4)


class AsyncDoubling(Doubling):
    """The same for a loop; while `opened` is not set, a round doesn't end."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()

    async def of(self, items: Sequence[int]) -> list[int]:
        self.rounds.append(list(items))
        await self.opened.wait()
        if 13 in items:
            raise ArithmeticError("thirteen")
        return [2 * item for item in items]


async def in_one_async_round(
    work: AsyncDoubling, together: AsyncGathering[int, int], *items: int
) -> "list[asyncio.Task[int]]":
    first = asyncio.create_task(together(0))
    while not work.rounds:
        await asyncio.sleep(0)
    tasks = [asyncio.create_task(together(item)) for item in items]
    await asyncio.sleep(0)
    work.opened.set()
    assert await first == 0
    return tasks


async def test_tasks_that_come_during_a_round_share_the_next() -> None:
    work = AsyncDoubling()
    together = AsyncGathering(work.of, most=2)

    tasks = await in_one_async_round(work, together, 1, 2, 3)

    assert await asyncio.gather(*tasks) == [2, 4, 6]
    assert work.rounds == [[0], [1, 2], [3]]


async def test_a_task_that_went_away_takes_no_others_with_it() -> None:
    work = AsyncDoubling()
    together = AsyncGathering(work.of, most=10)

    gone, stays = await in_one_async_round(work, together, 1, 2)
    gone.cancel()

    assert await stays == 4
    assert await together(3) == 6


async def test_an_async_round_that_fails_fails_for_those_in_it_and_the_next_goes_on() -> None:
    work = AsyncDoubling()
    together = AsyncGathering(work.of, most=2)

    tasks = await in_one_async_round(work, together, 1, 13, 5)

    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ArithmeticError, ArithmeticError, int]
