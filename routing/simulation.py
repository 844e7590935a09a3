"""The knobs of the simulated outside world, its dice, and its slow or silent venues."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import count
from typing import Final

from routing.faults import FAULTS, check_faults
from routing.rounding import PPM
from routing.venue import Pair, Reading

_FOR_EVER_S: Final = 3_600.0


@dataclass(frozen=True)
class SimulationConfig:
    """How the simulated venues and chain behave. Equal configurations behave equally.

    `fault_rate` (0 to 1) is the chance of each fault of the catalogue (`routing.faults.FAULTS`), rolled
    apart; `faults` gives some of them a rate of their own, by name. `swap_delay_ms` (least, most) is from
    sending to landing; (0, 0) lands inside the send. Delays of 0 never sleep.

    What a fault does is measured in slots, and in milliseconds of waiting. None takes the measure from how
    long a transaction is valid and a slot takes to be final, so that any pace of the chain has bad days.
    """

    seed: int = 1
    quote_delay_ms: int = 200
    swap_delay_ms: tuple[int, int] = (2_000, 3_000)
    fault_rate: float = 0.0
    slot_ms: int = 400
    finality_slots: int = 32
    blockhash_valid_blocks: int = 150
    faults: Mapping[str, float] = field(default_factory=dict, hash=False)
    # By how much lands_late is late (least, most). None: from 2 to a third beyond expiry.
    late_slots: tuple[int, int] | None = None
    # How old a stale_read is (least, most). None: up to just older than what may be proven dead by now.
    stale_slots: tuple[int, int] | None = None
    # How far behind the lagging_node is, always the same. None: the seed chooses, as for stale_read.
    lag_slots: int | None = None
    # How many slots a node with no_history has. None: a third of a transaction's validity.
    history_slots: int | None = None
    rpc_timeout_ms: int = 1_000
    slow_answer_ms: int = 500

    def __post_init__(self) -> None:
        for name in ("swap_delay_ms", "late_slots", "stale_slots"):
            least, most = getattr(self, name) or (0, 0)
            if not 0 <= least <= most:
                raise ValueError(f"{name} is (least, most), 0 or more")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError("fault_rate is between 0 and 1")
        check_faults(self.faults)
        if self.quote_delay_ms < 0 or self.slot_ms < 1 or self.blockhash_valid_blocks < 1:
            raise ValueError("delays are 0 or more; slot_ms and blockhash_valid_blocks 1 or more")
        if min(self.finality_slots, self.rpc_timeout_ms, self.slow_answer_ms) < 0:
            raise ValueError("finality_slots and the waits of faults are 0 or more")
        if min(self.lag_slots or 0, self.history_slots or 0) < 0:
            raise ValueError("lag_slots and history_slots are 0 or more")

    def draw(self, below: int, *key: object) -> int:
        """A number in 0 .. below-1 that depends on the seed and the key alone."""
        text = ":".join(map(str, (self.seed, *key))).encode()
        return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") % below

    @cached_property
    def rates(self) -> Mapping[str, float]:
        """The rate of every fault that can happen at all; empty on a good day."""
        rates = dict.fromkeys(FAULTS, self.fault_rate) | dict(self.faults)
        return {name: rate for name, rate in rates.items() if rate}

    def strikes(self, fault: str, *key: object) -> bool:
        """Whether this fault happens to this key."""
        rate = self.rates.get(fault)
        return rate is not None and self.draw(PPM, fault, *key) < round(rate * PPM)

    def landing_delay_ms(self, signature: str) -> int:
        """How long this transaction takes from sending to landing, when nothing makes it late."""
        return self._between(self.swap_delay_ms, "delay", signature)

    def late_by_slots(self, signature: str) -> int:
        """How much later a transaction lands that lands late."""
        valid = self.blockhash_valid_blocks
        return self._between(self.late_slots or (2, valid + valid // 3 + 2), "late", signature)

    def stale_by_slots(self, nth: int) -> int:
        """How old the nth answer is, if it is a stale one."""
        return self._between(self.stale_slots or (1, self._provable_slots), "stale", nth)

    @cached_property
    def lagging_by_slots(self) -> int:
        """How far behind the lagging node is."""
        if self.lag_slots is not None:
            return self.lag_slots
        return self._between((1, self._provable_slots), "lag")

    @cached_property
    def history_kept_slots(self) -> int:
        """How many slots a node has that has no history, the current one included."""
        kept = (
            self.blockhash_valid_blocks // 3 if self.history_slots is None else self.history_slots
        )
        return max(1, kept)

    @property
    def _provable_slots(self) -> int:
        # A transaction that lands at once, and an answer from before that, when its expiry is final.
        return self.blockhash_valid_blocks + self.finality_slots + 8

    def _between(self, bounds: tuple[int, int], *key: object) -> int:
        least, most = bounds
        return least + self.draw(most - least + 1, *key)


class SimulatedFeed:
    """Makes a venue's answer take its time, or never come. `config` may be replaced at any time.

    `read` reads the chain, `remembered` what it would read, if that is known already.
    """

    def __init__(
        self,
        config: SimulationConfig,
        read: Callable[[], Reading],
        remembered: Callable[[], Reading | None],
    ) -> None:
        self.config = config
        self._read = read
        self._remembered = remembered
        # Which roll of the dice this is. Bounded: one counter per venue and direction.
        self._asked: defaultdict[tuple[str, ...], Iterator[int]] = defaultdict(count)

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        """See `AccountFeed.read`. Hangs, cancellably, when the fault strikes."""
        config = self.config
        if config.rates and pairs:
            key = (venue, *(token.symbol for token in pairs[0]))
            if config.strikes("quote_timeout", *key, next(self._asked[key])):
                await asyncio.sleep(_FOR_EVER_S)
        if config.quote_delay_ms:
            await asyncio.sleep(config.quote_delay_ms / 1_000)
        # The first answer of a slot needs the chain's database: not on the event loop.
        remembered = self._remembered()
        return await asyncio.to_thread(self._read) if remembered is None else remembered
