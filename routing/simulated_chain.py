"""A chain in PostgreSQL that keeps a real one's semantics, for when there is no real one.

It owns time (slots and blockhashes are functions of a clock), landing (when, with which effect) and the faults of
landing; those of its nodes are `simulated_node`'s. The transactions of a slot land together: each finds the pools as
the slots before left them, so no swap waits for another. What is due lands when somebody asks about it; the result
depends neither on who asks nor on when.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from routing import route_program
from routing.chain import (
    MAX_HISTORY_PER_CALL,
    MAX_SIGNATURES_PER_CALL,
    NETWORK_FEE_LAMPORTS,
    Blockhash,
    Head,
    LandedTransaction,
    SignatureStatus,
    Statuses,
)
from routing.errors import FateUnknown, Rejected, RoutingError, Unavailable
from routing.market import Market
from routing.pool import Pool
from routing.registry import open_venues
from routing.route_program import RouteTerms
from routing.simulated_clock import ChainClock
from routing.simulated_ledger import Effect, Entry, Ledger, Outcome
from routing.simulated_slots import Slots
from routing.simulation import SimulatedFeed, SimulationConfig
from routing.transaction import ParsedTransaction, parse
from routing.venue import Program, Reading

# How far back a node's status cache reaches, as in Solana's MAX_RECENT_BLOCKHASHES.
STATUS_CACHE_SLOTS: Final = 150


class SimulatedChain:
    """See `Chain` for the contract. One per process, safe to share between its threads.

    `conninfo` names a database prepared by `simulated_schema.install`; nothing connects before the first
    call. `timeout_s` bounds the wait for a connection, and each statement.
    """

    def __init__(
        self,
        config: SimulationConfig,
        conninfo: str,
        *,
        clock: Callable[[], float] = time.time,
        pool_size: int = 4,
        timeout_s: float = 5.0,
    ) -> None:
        self.market = Market(seed=config.seed)
        self.venues: Mapping[str, Program] = open_venues(
            self.market,
            SimulatedFeed(config, self.reading, self.remembered_reading),
            slot_ms=config.slot_ms,
        )
        self._programs = {venue.program_id: venue for venue in self.venues.values()}
        # A transaction is mostly read twice within milliseconds: simulated, then sent.
        self._read = lru_cache(maxsize=1_024)(self._decode)
        self.config = config
        self._ledger = Ledger(conninfo, pool_size=pool_size, timeout_s=timeout_s)
        self._clock = ChainClock(config, self._ledger, clock)
        self._slots = Slots(self._ledger, self._execute_at)

    # What an RPC node answers

    # `at_slot` is the slot that the answering node has come to: the current one, if not said.

    def latest_blockhash(self, *, at_slot: int | None = None) -> Blockhash:
        """See `Chain.latest_blockhash`. Needs no query."""
        genesis, slot = self._clock.genesis(), self._slot(at_slot)
        return Blockhash(
            blockhash=self._clock.blockhash(slot),
            last_valid_block_height=slot + self.config.blockhash_valid_blocks,
            genesis_hash=genesis.genesis_hash,
            slot=slot,
        )

    def simulate_many(self, raws: Sequence[bytes]) -> tuple[RoutingError | None, ...]:
        """See `Chain.simulate_many`. Needs a query or two, the first time in a slot, and foresees no fault."""
        slot = self._clock.slot()
        return tuple(self._foreseen(raw, slot) for raw in raws)

    def send(self, raw: bytes) -> str:
        """See `Chain.send`. With a landing delay of 0 it has landed on return, unless the slot ended meanwhile."""
        (error,) = self.send_many([raw])
        if error is not None:
            raise error
        return self._read(raw).parsed.signature

    def send_many(self, raws: Sequence[bytes]) -> tuple[RoutingError | None, ...]:
        """See `Chain.send_many`. One statement for all of them, apart from a look at a slot that is new."""
        errors: list[RoutingError | None] = [None] * len(raws)
        read: dict[str, int] = {}  # which transaction it is, by its signature
        for nth, raw in enumerate(raws):
            try:
                read[self._read(raw).parsed.signature] = nth
            except Rejected as error:
                errors[nth] = error
        try:
            # What expired is passed on like anything else, and no block takes it.
            entries = [entry for nth in read.values() if (entry := self._entry(raws[nth]))]
            too_late = self._ledger.take(entries) if entries else set()
            if too_late:
                # Their slot ended before they were in it: they land in the next, as they then do.
                self._ledger.take(
                    [
                        replace(
                            entry,
                            raw=raws[read[entry.signature]],
                            error=None,
                            amount_out_base=0,
                            moved_x_base={},
                        )
                        for entry in entries
                        if entry.signature in too_late
                    ]
                )
        except Unavailable as error:
            lost = FateUnknown(error.code, f"the send may have been lost: {error}")
            for nth in read.values():
                errors[nth] = lost
        return tuple(errors)

    def statuses(
        self, signatures: Sequence[str], *, search_history: bool = False, at_slot: int | None = None
    ) -> Statuses:
        """See `Chain.statuses`. One statement, apart from closing what is over.

        Here a landing is at once confirmed, never `processed`.
        """
        if len(signatures) > MAX_SIGNATURES_PER_CALL:
            raise ValueError(f"at most {MAX_SIGNATURES_PER_CALL} signatures a call")
        genesis, slot = self._clock.genesis(), self._slot(at_slot)
        self._close(slot)
        first_available_slot, outcomes = self._ledger.outcomes(signatures, slot=slot)
        if any(outcome.in_flight for outcome in outcomes.values()):
            self._land(slot)
            first_available_slot, outcomes = self._ledger.outcomes(signatures, slot=slot)
        oldest_slot = first_available_slot if search_history else slot - STATUS_CACHE_SLOTS + 1
        return Statuses(
            slot=slot,
            statuses=tuple(
                self._status(outcomes.get(signature), slot=slot, oldest_slot=oldest_slot)
                for signature in signatures
            ),
            first_available_slot=first_available_slot,
            genesis_hash=genesis.genesis_hash,
        )

    def head(self, *, at_slot: int | None = None) -> Head:
        """See `Chain.head`. At most one query per slot."""
        genesis, slot = self._clock.genesis(), self._slot(at_slot)
        self._close(slot)
        finalized_slot = slot - self.config.finality_slots
        return Head(
            slot=slot,
            block_height=slot,
            finalized_slot=finalized_slot,
            finalized_block_height=finalized_slot,
            genesis_hash=genesis.genesis_hash,
            first_available_slot=self._slots.first_available_slot,
        )

    def transactions(
        self, signatures: Sequence[str], *, at_slot: int | None = None
    ) -> tuple[LandedTransaction | None, ...]:
        """See `Chain.transactions`. One statement for any number."""
        slot = self._slot(at_slot)
        entries = self._ledger.entries(signatures, slot=slot)
        if any(entry.raw is not None for entry in entries.values()):
            self._land(slot)
            entries = self._ledger.entries(signatures, slot=slot)
        return tuple(self._receipt(entries.get(signature)) for signature in signatures)

    def history(
        self,
        signer: str,
        *,
        before: str | None = None,
        limit: int = MAX_HISTORY_PER_CALL,
        min_context_slot: int = 0,
        at_slot: int | None = None,
    ) -> tuple[LandedTransaction, ...]:
        """See `Chain.history`. Two statements a page."""
        if not 1 <= limit <= MAX_HISTORY_PER_CALL:
            raise ValueError(f"a page has 1 to {MAX_HISTORY_PER_CALL:,} transactions")
        slot = self._slot(at_slot)
        if slot < min_context_slot:
            raise Unavailable("MIN_CONTEXT_SLOT_NOT_REACHED", "the node has not come that far yet")
        self._land(slot)
        page = self._ledger.history(signer, before=before, limit=limit, slot=slot)
        return tuple(self._landed(entry) for entry in page)

    # What only a simulation has

    def count_send(self, raw: bytes) -> tuple[str, int]:
        """The signature of a transaction, and how often it was sent, this time included."""
        signature = self._read(raw).parsed.signature
        return signature, self._ledger.count_send(signature, slot=self._clock.slot())

    def genesis_hash(self) -> str:
        """Which cluster this is."""
        return self._clock.genesis().genesis_hash

    def current_slot(self) -> int:
        """The slot of this instant; also the block height, since no slot is skipped here."""
        return self._clock.slot()

    def begins_at(self, slot: int) -> datetime:
        """When a slot begins, or began."""
        return self._clock.begins_at(slot)

    def reading(self) -> Reading:
        """The pools' displacement as this slot finds it. Needs a query or two, the first time in a slot."""
        slot = self._clock.slot()
        return Reading(slot, self._slots.displaced_x_base(slot))

    def remembered_reading(self) -> Reading | None:
        """The same if no query is needed."""
        slot = self._clock.slot() if self._clock.is_known() else None
        displaced = None if slot is None else self._slots.remembered_x_base(slot)
        return None if slot is None or displaced is None else Reading(slot, displaced)

    def purge(self, before_slot: int) -> int:
        """Forget what landed before `before_slot`, and return how many transactions that was.

        What could still be sent again is kept, whatever the argument: a forgotten signature must not
        land a second time. Safe to repeat.
        """
        slot = self._clock.slot()
        self._land(slot)
        still_valid_slot = slot - self.config.finality_slots - self.config.blockhash_valid_blocks
        return self._ledger.purge(min(before_slot, still_valid_slot))

    def close(self) -> None:
        """Give every connection back. The chain can't be asked afterwards."""
        self._ledger.close()

    def _decode(self, raw: bytes) -> "_Read":
        parsed = parse(raw)
        return _Read(parsed, route_program.decode(parsed.instruction, self._programs))

    def _foreseen(self, raw: bytes, slot: int) -> RoutingError | None:
        try:
            read = self._read(raw)
            can_land = self._clock.can_land(read.parsed.blockhash, slot=slot)
            if not can_land:
                return _ended("BLOCKHASH_NOT_FOUND")
            code = self._swap(read.terms, slot, self._slots.displaced_x_base(slot)).error
        except Rejected as error:
            return error
        return _ended(code) if code else None

    def _slot(self, at_slot: int | None) -> int:
        return self._clock.slot() if at_slot is None else at_slot

    def _entry(self, raw: bytes) -> Entry | None:
        """Where the transaction lands by what the clock says now; None if it can't land any more."""
        read = self._read(raw)
        parsed, terms = read.parsed, read.terms
        slot, at_once = self._landing_slot(parsed)
        # In flight, a transaction is kept as it came; its effect is known when it lands.
        effect = (
            self._execute(read, slot, self._slots.displaced_x_base(slot))
            if at_once
            else Effect(None)
        )
        if effect is None:
            return None
        return Entry(
            signature=parsed.signature,
            slot=slot,
            raw=None if at_once else raw,
            error=effect.error,
            memo=parsed.memo,
            signer=parsed.signer,
            venue="+".join(terms.venues),
            pool="+".join(terms.pools),
            amount_in_base=terms.amount_in_base,
            min_amount_out_base=terms.min_amount_out_base,
            amount_out_base=effect.amount_out_base,
            moved_x_base=effect.moved_x_base,
        )

    def _landing_slot(self, parsed: ParsedTransaction) -> tuple[int, bool]:
        """In which slot the transaction lands if it can, and whether that is inside the send."""
        config, signature = self.config, parsed.signature
        last_valid_slot = self._clock.last_valid_slot(parsed.blockhash)
        if last_valid_slot is not None and config.strikes("lands_last", signature):
            return max(last_valid_slot, self._clock.slot()), False
        delay_ms = config.landing_delay_ms(signature)
        if config.strikes("lands_late", signature):
            delay_ms += config.late_by_slots(signature) * config.slot_ms
        return self._clock.slot(after_ms=delay_ms), delay_ms == 0

    def _land(self, slot: int) -> None:
        """Land what is due up to and including `slot`."""
        self._close(slot)
        self._slots.land(slot)

    def _execute_at(self, slot: int) -> Callable[[bytes], Effect | None]:
        # Asked before the landing has a lock and a connection.
        displaced = self._slots.displaced_x_base(slot)
        return lambda raw: self._execute(self._read(raw), slot, displaced)

    def _execute(self, read: "_Read", slot: int, displaced: Mapping[str, int]) -> Effect | None:
        """What the transaction does in this slot; None if it can't land in it."""
        if not self._clock.can_land(read.parsed.blockhash, slot=slot):
            return None
        if self.config.strikes("slippage", read.parsed.signature):
            return Effect("SLIPPAGE_EXCEEDED")
        return self._swap(read.terms, slot, displaced)

    def _swap(self, terms: RouteTerms, slot: int, displaced: Mapping[str, int]) -> Effect:
        def pool_at(venue: str, address: str) -> Pool:
            moved = displaced.get(address, 0)
            return self.venues[venue].state(address, slot=slot, moved_x_base=moved)

        try:
            paid = route_program.execute(terms, pool_at)
        except Rejected as error:
            return Effect(error.code)
        if paid.amount_out_base < max(terms.min_amount_out_base, 1):
            return Effect("SLIPPAGE_EXCEEDED")
        return Effect(None, paid.amount_out_base, paid.moved_x_base)

    def _close(self, slot: int) -> None:
        """End the slots that whoever reads at `slot` may call over.

        Before anybody hears that a slot is final nothing can land in it any more: a process may sleep between
        choosing a slot and writing into it, and could then land a transaction that was proven dead meanwhile, and
        whose successor landed too.
        """
        self._slots.close_until(slot - min(1, self.config.finality_slots))

    def _status(
        self, outcome: Outcome | None, *, slot: int, oldest_slot: int
    ) -> SignatureStatus | None:
        # Still in flight after what is due was landed: taken in the instant between. The next answer has it.
        if outcome is None or outcome.in_flight or outcome.slot < oldest_slot:
            return None
        is_final = outcome.slot <= slot - self.config.finality_slots
        return SignatureStatus(
            slot=outcome.slot,
            error=outcome.error,
            commitment="finalized" if is_final else "confirmed",
        )

    def _receipt(self, entry: Entry | None) -> LandedTransaction | None:
        return None if entry is None or entry.raw is not None else self._landed(entry)

    def _landed(self, entry: Entry) -> LandedTransaction:
        return LandedTransaction(
            signature=entry.signature,
            slot=entry.slot,
            landed_at=self._clock.begins_at(entry.slot),
            error=entry.error,
            memo=entry.memo,
            signer=entry.signer,
            venue=entry.venue,
            pool=entry.pool,
            amount_in_base=entry.amount_in_base,
            amount_out_base=entry.amount_out_base,
            min_amount_out_base=entry.min_amount_out_base,
            fee_lamports=NETWORK_FEE_LAMPORTS,
        )


def _ended(code: str) -> Unavailable:
    return Unavailable(code, f"the simulation ended with {code}")


@dataclass(frozen=True, slots=True)
class _Read:
    """A transaction, and what its instruction asks for."""

    parsed: ParsedTransaction
    terms: RouteTerms
