"""The parts of a page that are asked for one by one: one that fails says so, and the others live.

Several people who look at once share an answer, and a question that takes too long is given up.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from django.db import DatabaseError

from config.postgres.brief import TooSlow, brief_statements
from orders import observe
from orders.api.problems import DATABASE_AWAY

T = TypeVar("T")

STATEMENT_S: Final = 0.4
TOO_SLOW: Final = f"The database took longer than {STATEMENT_S:g} s, so this was given up. It is asked again next time."
REFUSED: Final = "The database refused this question; the engine’s log says why."


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """An answer, or a sentence that says why there is none."""

    answer: T | None
    trouble: str = ""


class Panel(Generic[T]):
    """A question to PostgreSQL, whose answer is good for `good_for_s`. Callable from any thread."""

    def __init__(self, name: str, ask: Callable[[], T], *, good_for_s: float = 1.0) -> None:
        self._name = name
        self._ask = ask
        self._good_for_s = good_for_s
        self._lock = threading.Lock()
        self._answered: Answered[T] | None = None
        self._stale_at = float("-inf")

    def __call__(self) -> Answered[T]:
        """Raises one of DATABASE_AWAY."""
        with self._lock:
            if self._answered is None or time.monotonic() >= self._stale_at:
                self._answered = self._ask_briefly()
                self._stale_at = time.monotonic() + self._good_for_s
            return self._answered

    def _ask_briefly(self) -> Answered[T]:
        try:
            with brief_statements(within_s=STATEMENT_S):
                return Answered(self._ask())
        except TooSlow:
            return Answered(None, TOO_SLOW)
        except DATABASE_AWAY:
            raise
        except DatabaseError as error:
            observe.panel_failed(panel=self._name, error=error)
            return Answered(None, REFUSED)
