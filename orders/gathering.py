"""Group commit: calls that several threads, or several tasks of a loop, make at once are carried out as one.

Nobody waits for others to come. Whoever finds nobody at work works at once; what comes meanwhile is the next round's.
So a lone call costs no time, and a crowd shares a statement and a commit.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class TurnMissed(Exception):
    """Too many, or too slow ones, came before: the call was not carried out, and won't be."""


@dataclass(slots=True, eq=False)
class _Call(Generic[Item, Result]):
    item: Item
    woken: threading.Event = field(default_factory=threading.Event)
    answer: Result | BaseException | None = None
    is_answered: bool = False


class Gathering(Generic[Item, Result]):
    """`work` takes up to `most` items, and answers each with its result or with the exception to raise for it."""

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Result | BaseException]], *, most: int
    ) -> None:
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._calls: deque[_Call[Item, Result]] = deque()
        self._is_busy = False

    def __call__(self, item: Item, *, turn_within_s: float = math.inf) -> Result:
        """The item's result. Raises its exception, or what `work` raised for all of its round.

        Raises TurnMissed unless a round begins with it in time.
        """
        call: _Call[Item, Result] = _Call(item)
        with self._lock:
            self._calls.append(call)
            comes_first, self._is_busy = not self._is_busy, True
        if not comes_first:
            self._wait(call, turn_within_s)
        if not call.is_answered:
            self._do_a_round()
        if isinstance(call.answer, BaseException):
            raise call.answer
        return call.answer  # type: ignore[return-value]  # answered by now, with a result

    def _wait(self, call: _Call[Item, Result], turn_within_s: float) -> None:
        """For the answer, or until the next round is ours to do."""
        if call.woken.wait(min(turn_within_s, threading.TIMEOUT_MAX)):
            return
        with self._lock:
            if call in self._calls and not call.woken.is_set():
                self._calls.remove(call)
                raise TurnMissed
        call.woken.wait()  # its round is under way

    def _do_a_round(self) -> None:
        """For the caller, whose call is the oldest, and for those that wait behind it."""
        with self._lock:
            size = min(self._most, len(self._calls))
            calls = [self._calls.popleft() for _ in range(size)]
        answers: Sequence[Result | BaseException]
        try:
            answers = self._work([call.item for call in calls])
        except BaseException as error:
            answers = [error] * size
        with self._lock:
            self._is_busy = bool(self._calls)
            if self._calls:
                self._calls[0].woken.set()  # from here on it can't miss its turn
        for call, answer in zip(calls, answers, strict=True):
            call.answer, call.is_answered = answer, True
            call.woken.set()


class AsyncGathering(Generic[Item, Result]):
    """The same for the tasks of one event loop. After a round it rests as long as that took: a crowd comes together."""

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, most: int
    ) -> None:
        self._work = work
        self._most = most
        self._calls: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._rounds: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The item's result. Raises what `work` raised for all of its round."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._calls.append((item, answer))
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._do_rounds())
        return await answer

    async def _do_rounds(self) -> None:
        while self._calls:
            began = time.monotonic()
            size = min(self._most, len(self._calls))
            calls = [self._calls.popleft() for _ in range(size)]
            try:
                answers = await self._work([item for item, _ in calls])
            except Exception as error:
                for _, answer in calls:
                    if not answer.cancelled():
                        answer.set_exception(error)
            else:
                for (_, answer), result in zip(calls, answers, strict=True):
                    if not answer.cancelled():  # its client may have gone meanwhile
                        answer.set_result(result)
            await asyncio.sleep(time.monotonic() - began)
