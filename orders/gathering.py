"""Group commit: calls that several threads make at once are carried out as one.

Nobody waits for others to come. Whoever finds nobody at work works at once; what comes meanwhile is the next round's.
So a lone call costs no time, and a crowd shares a statement and a commit.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
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

    def __call__(self, item: Item) -> Result:
        """The item's result. Raises its exception, or what `work` raised for all of its round."""
        call: _Call[Item, Result] = _Call(item)
        with self._lock:
            self._calls.append(call)
            comes_first, self._is_busy = not self._is_busy, True
        if not comes_first:
            call.woken.wait()  # by the answer, or because the next round is ours to do
        if not call.is_answered:
            self._do_a_round()
        if isinstance(call.answer, BaseException):
            raise call.answer
        return call.answer  # type: ignore[return-value]  # answered by now, with a result

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
            next_one = self._calls[0] if self._calls else None
        if next_one is not None:
            next_one.woken.set()
        for call, answer in zip(calls, answers, strict=True):
            call.answer, call.is_answered = answer, True
            call.woken.set()
