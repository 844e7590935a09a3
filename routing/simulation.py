"""The knobs of the simulated outside world, its dice, and its slow or silent venues."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count
from typing import Final

from routing.amm import PPM
from routing.venue import Swap

_FOR_EVER_S: Final = 3_600.0


@dataclass(frozen=True)
class SimulationConfig:
    """How the simulated venues and chain behave. Equal configurations behave equally.

    `fault_rate` (0 to 1) is the chance of each fault, rolled apart: a quote that never comes, a send that
    the node refuses, a transaction that it drops, and slippage on chain. `swap_delay_ms` (least, most) is
    from sending to landing; (0, 0) lands inside the send. Delays of 0 never sleep.
    """

    seed: int = 1
    quote_delay_ms: int = 200
    swap_delay_ms: tuple[int, int] = (2_000, 3_000)
    fault_rate: float = 0.0
    slot_ms: int = 400
    finality_slots: int = 32
    blockhash_valid_blocks: int = 150

    def __post_init__(self) -> None:
        least_ms, most_ms = self.swap_delay_ms
        if not 0 <= least_ms <= most_ms:
            raise ValueError("swap_delay_ms is (least, most), 0 or more")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError("fault_rate is between 0 and 1")
        if self.quote_delay_ms < 0 or self.slot_ms < 1 or self.blockhash_valid_blocks < 1:
            raise ValueError("delays are 0 or more; slot_ms and blockhash_valid_blocks 1 or more")
        if self.finality_slots < 0:
            raise ValueError("finality_slots is 0 or more")

    def draw(self, below: int, *key: object) -> int:
        """A number in 0 .. below-1 that depends on the seed and the key alone."""
        text = ":".join(map(str, (self.seed, *key))).encode()
        return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") % below

    def strikes(self, fault: str, *key: object) -> bool:
        """Whether this fault happens to this key."""
        if not self.fault_rate:
            return False
        return self.draw(PPM, fault, *key) < round(self.fault_rate * PPM)

    def landing_delay_ms(self, signature: str) -> int:
        """How long this transaction takes from sending to landing."""
        least_ms, most_ms = self.swap_delay_ms
        return least_ms + self.draw(most_ms - least_ms + 1, "delay", signature)


class SimulatedFeed:
    """Makes a venue's answer take its time, or never come."""

    def __init__(self, config: SimulationConfig, slot: Callable[[], int]) -> None:
        self._config = config
        self._slot = slot
        self._warm = False
        # Which roll of the dice this is. Bounded: one counter per venue and direction.
        self._asked: defaultdict[tuple[str, str, str], Iterator[int]] = defaultdict(count)

    async def current_slot(self, *, venue: str, swap: Swap) -> int:
        """See `SlotFeed.current_slot`. Hangs, cancellably, when the fault strikes."""
        if self._config.fault_rate:
            key = (venue, swap.token_in.symbol, swap.token_out.symbol)
            nth = next(self._asked[key])
            if self._config.strikes("quote_timeout", *key, swap.amount_in_base, nth):
                await asyncio.sleep(_FOR_EVER_S)
        if self._config.quote_delay_ms:
            await asyncio.sleep(self._config.quote_delay_ms / 1_000)
        if not self._warm:
            # The first slot ever needs the chain's genesis from its database: not on the event loop.
            await asyncio.to_thread(self._slot)
            self._warm = True
        return self._slot()
