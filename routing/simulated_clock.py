"""Slots, heights and blockhashes of the simulated chain: functions of its genesis and a clock.

Only the genesis is remembered (by the ledger, once per database), and every process caches it.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final

from solders.hash import Hash

from routing.errors import Unavailable
from routing.simulated_ledger import Genesis, Ledger
from routing.simulation import SimulationConfig

# A chain that is a little old has a finalized height, and no height below 0.
_FIRST_SLOT: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def blockhash_of(genesis_hash: str, slot: int) -> str:
    """24 bytes that only this chain and slot have, then the slot masked with them."""
    head = sha256(f"{genesis_hash}:{slot}".encode()).digest()[:24]
    return str(Hash(head + (slot ^ int.from_bytes(head[:8], "little")).to_bytes(8, "little")))


@lru_cache(maxsize=1_024)
def slot_of(genesis_hash: str, blockhash: str) -> int | None:
    """The inverse of `blockhash_of`; None for a blockhash of another chain."""
    digest = bytes(Hash.from_string(blockhash))
    slot = int.from_bytes(digest[24:], "little") ^ int.from_bytes(digest[:8], "little")
    return slot if blockhash_of(genesis_hash, slot) == blockhash else None


class ChainClock:
    """Every method raises `Unavailable` if the genesis is not known yet and its database is away."""

    def __init__(
        self, config: SimulationConfig, ledger: Ledger, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._clock = clock
        self._genesis: Genesis | None = None
        self._genesis_lock = threading.Lock()

    def genesis(self) -> Genesis:
        """The chain's genesis, from its database the first time."""
        if self._genesis is None:
            with self._genesis_lock:
                if self._genesis is None:
                    self._genesis = self._begin()
        return self._genesis

    def is_known(self) -> bool:
        """Whether the genesis is known, so that nothing here needs the database any more."""
        return self._genesis is not None

    def slot(self, *, after_ms: int = 0) -> int:
        """The slot of this instant, or of the one `after_ms` later."""
        genesis = self.genesis()
        return (self._now_ms() + after_ms - genesis.genesis_ms) // genesis.slot_ms

    def begins_at(self, slot: int) -> datetime:
        """When a slot begins."""
        genesis = self.genesis()
        return _EPOCH + timedelta(milliseconds=genesis.genesis_ms + slot * genesis.slot_ms)

    def blockhash(self, slot: int) -> str:
        """The blockhash of a slot."""
        return blockhash_of(self.genesis().genesis_hash, slot)

    def last_valid_slot(self, blockhash: str) -> int | None:
        """The last slot whose block may have a transaction on this blockhash; None for no blockhash of ours."""
        slot = slot_of(self.genesis().genesis_hash, blockhash)
        return None if slot is None else slot + self._config.blockhash_valid_blocks

    def can_land(self, blockhash: str, *, slot: int) -> bool:
        """Whether a transaction on this blockhash may still, and already, be in this slot's block."""
        last_valid_slot = self.last_valid_slot(blockhash)
        if last_valid_slot is None:
            return False
        return last_valid_slot - self._config.blockhash_valid_blocks <= slot <= last_valid_slot

    def _begin(self) -> Genesis:
        slot_ms = self._config.slot_ms
        genesis_ms = self._now_ms() - _FIRST_SLOT * slot_ms
        genesis_hash = Hash(sha256(f"{self._config.seed}:{genesis_ms}".encode()).digest())
        genesis = self._ledger.begin(Genesis(str(genesis_hash), genesis_ms, slot_ms))
        if genesis.slot_ms != slot_ms:
            sentence = (
                f"this chain began with slots of {genesis.slot_ms} ms; {slot_ms} needs a new one"
            )
            raise Unavailable("CHAIN_MISCONFIGURED", sentence)
        return genesis

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)
