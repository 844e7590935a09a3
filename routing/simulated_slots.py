"""Which slots of the simulated chain are over, and what the swaps that landed in them left in the pools.

A slot is closed before anybody is told what it did, so that what follows from it is the same for everybody. What swaps
moved fades while arbitrage brings the pools back. It knows no transaction and no pool, and remembers the latest slots.
"""

import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from routing.rounding import PPM
from routing.simulated_ledger import ExecuteAt, Ledger

FADING_PPM: Final = tuple(PPM * 3**age // 4**age for age in range(1, 25))
"""What is left after one slot, two, and so on: a quarter less each time, and nothing after these."""

_SLOTS_KEPT: Final = 16


class Slots:
    """Safe to share between threads. `execute_at` lands what is due in a slot before that is closed."""

    def __init__(self, ledger: Ledger, execute_at: ExecuteAt) -> None:
        self._ledger = ledger
        self._execute_at = execute_at
        self._closed_slot = -1
        # Where history begins, as of the last close.
        self.first_available_slot = 0
        self._displaced: dict[int, Mapping[str, int]] = {}
        # Landing a slot asks for the displacement that it finds: from within.
        self._asking = threading.RLock()

    def close_until(self, slot: int) -> None:
        """End all slots up to `slot`: from here on nothing can land in them. At most one query for a slot."""
        if slot > self._closed_slot:
            self.first_available_slot = self._ledger.close_until(slot, execute_at=self._execute_at)
            self._closed_slot = slot

    def land(self, slot: int) -> None:
        """Land what is due in `slot`, which goes on. All before it must be closed."""
        self._ledger.land(slot, execute_at=self._execute_at)

    def displaced_x_base(self, slot: int) -> Mapping[str, int]:
        """The net amount of its token X that recent swaps left in each pool, as the transactions of `slot` find it.

        A function of what landed in the slots before, which are closed first. Two queries, the first time.
        """
        found = self._displaced.get(slot)
        if found is not None:
            return found
        with self._asking:  # of a crowd in a new slot one asks
            found = self._displaced.get(slot)
            if found is None:
                self.close_until(slot - 1)
                moves = self._ledger.moved_x_base(slot - len(FADING_PPM), slot - 1)
                found = self._displaced[slot] = _faded(moves, slot)
                for old in sorted(self._displaced)[:-_SLOTS_KEPT]:
                    del self._displaced[old]  # perhaps this one, when a slot long past is landed
            return found

    def remembered_x_base(self, slot: int) -> Mapping[str, int] | None:
        """The same, if no query is needed for it."""
        return self._displaced.get(slot)


def _faded(moves: Mapping[int, Mapping[str, int]], slot: int) -> Mapping[str, int]:
    """The sum over the slots before `slot`, each less by its age."""
    sums_ppm: defaultdict[str, int] = defaultdict(int)
    for moved_at, moved in moves.items():
        for pool, x_base in moved.items():
            sums_ppm[pool] += x_base * FADING_PPM[slot - moved_at - 1]
    return {pool: sum_ppm // PPM for pool, sum_ppm in sums_ppm.items()}
