"""What a pair's prices have been, slot by slot: the market's, and between which prices each venue's pools stood.

Seed and slot alone decide them, so what was seen of a slot is remembered and never changes, and every process answers
the same. What swaps left in the pools is not in them: it is gone after 24 slots, and a quote is what tells of it. What
it refuses: to know the time, and to need a database.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from django.conf import settings

from orders.market_looks import Look, Window
from routing.rounding import ceil_div
from routing.venue import Pair

# Under 1 KiB each.
MOST_LOOKS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Grid:
    """The slots in which a stretch of time is looked at: multiples of `step_slots`, so all who ask ask for the same."""

    newest_slot: int
    window_slots: int
    step_slots: int

    @classmethod
    def of(cls, *, newest_slot: int, window_slots: int, most_points: int) -> "Grid":
        """The finest that has no more than so many points."""
        return cls(newest_slot, window_slots, max(1, ceil_div(window_slots, most_points)))

    @property
    def slots(self) -> range:
        """Oldest first; none from before the chain's first."""
        oldest = max(0, self.newest_slot - self.window_slots + 1)
        first = ceil_div(oldest, self.step_slots) * self.step_slots
        return range(first, self.newest_slot + 1, self.step_slots)


class PriceHistory:
    """Safe to share between threads."""

    def __init__(self, window: Window, *, most_looks: int = MOST_LOOKS) -> None:
        self._window = window
        self._most_looks = most_looks
        self._known: OrderedDict[tuple[Pair, int], Look] = OrderedDict()
        self._lock = threading.Lock()

    def unknown(self, pair: Pair, slots: Sequence[int]) -> int:
        """In how many of the slots nobody has looked yet: each takes the processor for a millisecond or two."""
        return sum((pair, slot) not in self._known for slot in slots)

    def looks(self, pair: Pair, slots: Sequence[int]) -> list[Look]:
        """The prices in each of the slots, remembered from now on."""
        with self._lock:
            found = {slot: self._known.get((pair, slot)) for slot in slots}
        missing = [slot for slot, look in found.items() if look is None]
        looks = {look.slot: look for look in self._window.looks(pair, missing)}
        with self._lock:
            for slot in slots:
                looks[slot] = self._known[pair, slot] = found[slot] or looks[slot]
                self._known.move_to_end((pair, slot))
            while len(self._known) > self._most_looks:
                self._known.popitem(last=False)
        return [looks[slot] for slot in slots]

    def now(self, pair: Pair, slot: int) -> Look:
        """The prices in a slot that hardly anybody asks for again: not remembered."""
        (look,) = self._window.looks(pair, [slot])
        return look


@cache
def price_history() -> PriceHistory:
    """This process's, of the market that the settings name."""
    return PriceHistory(Window(seed=settings.MOCK_SEED))
