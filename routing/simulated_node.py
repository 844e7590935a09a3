"""The nodes between a client and the simulated chain: the endpoint's bad days.

Each call may meet another node: one that fails, is slow, lags behind, has lost its history, or is on another
cluster. An answer is always honest about the slot, the history and the cluster that it is from.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Final

from solders.hash import Hash

from routing.chain import (
    MAX_HISTORY_PER_CALL,
    Blockhash,
    Head,
    LandedTransaction,
    Statuses,
)
from routing.errors import FateUnknown, RoutingError, Unavailable
from routing.simulated_chain import SimulatedChain
from routing.simulated_clock import blockhash_of
from routing.simulation import SimulationConfig
from routing.venue import Program

OF_SENDS: Final = ("send_refused", "dropped", "answer_lost", "duplicate_send")


class SimulatedNode:
    """See `Chain` for the contract. Which node answers is rolled anew for each call, from the seed.

    `sleep` is how a slow node waits. Safe to share between threads; which of them meets which fault is then
    left to chance.
    """

    def __init__(
        self,
        chain: SimulatedChain,
        config: SimulationConfig,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._chain = chain
        self._config = config
        self._sleep = sleep
        self._calls: defaultdict[str, Iterator[int]] = defaultdict(count)

    @property
    def venues(self) -> Mapping[str, Program]:
        """The venues on the chain."""
        return self._chain.venues

    def latest_blockhash(self) -> Blockhash:
        """See `Chain.latest_blockhash`."""
        call = self._call("latest_blockhash")
        if call.strikes("other_cluster"):
            blockhash = self._chain.latest_blockhash()
            return replace(
                blockhash,
                blockhash=blockhash_of(self._other_genesis_hash, blockhash.slot),
                genesis_hash=self._other_genesis_hash,
            )
        return self._chain.latest_blockhash(at_slot=call.slot())

    def simulate_many(self, raws: Sequence[bytes]) -> tuple[RoutingError | None, ...]:
        """See `Chain.simulate_many`. One call, that fails or is slow as one."""
        self._call("simulate")
        return self._chain.simulate_many(raws)

    def send(self, raw: bytes) -> str:
        """See `Chain.send`."""
        try:
            self._call("send")
        except Unavailable as error:
            raise FateUnknown(error.code, str(error)) from error
        return self._pass_on(raw)

    def send_many(self, raws: Sequence[bytes]) -> tuple[RoutingError | None, ...]:
        """See `Chain.send_many`. One call, that fails or is slow as one; each send has its own dice."""
        try:
            self._call("send")
        except Unavailable as error:
            return (FateUnknown(error.code, str(error)),) * len(raws)
        if not self._config.rates.keys() & set(OF_SENDS):
            return self._chain.send_many(raws)
        return tuple(map(self._error_of, raws))

    def _error_of(self, raw: bytes) -> RoutingError | None:
        try:
            self._pass_on(raw)
        except RoutingError as error:
            return error
        return None

    def _pass_on(self, raw: bytes) -> str:
        if not self._config.rates.keys() & set(OF_SENDS):
            return self._chain.send(raw)
        signature, nth = self._chain.count_send(raw)
        config = self._config
        if config.strikes("send_refused", signature, nth):
            raise FateUnknown("RPC_ERROR", "the node answered the send with an error")
        if config.strikes("dropped", signature, nth):
            return signature
        for _ in range(2 if config.strikes("duplicate_send", signature, nth) else 1):
            self._chain.send(raw)
        if config.strikes("answer_lost", signature, nth):
            raise FateUnknown("RPC_TIMEOUT", "the node's answer to the send was lost")
        return signature

    def statuses(self, signatures: Sequence[str], *, search_history: bool = False) -> Statuses:
        """See `Chain.statuses`."""
        call = self._call("statuses")
        slot = call.slot()
        if call.strikes("stale_read"):
            slot -= self._config.stale_by_slots(call.nth)
        answer = self._chain.statuses(signatures, search_history=search_history, at_slot=slot)
        if call.strikes("other_cluster"):
            nothing = tuple(None for _ in signatures)
            return replace(answer, statuses=nothing, genesis_hash=self._other_genesis_hash)
        if call.strikes("no_history"):
            first = max(answer.first_available_slot, self._first_kept(slot))
            return replace(
                answer,
                first_available_slot=first,
                statuses=tuple(
                    None if status is None or status.slot < first else status
                    for status in answer.statuses
                ),
            )
        return answer

    def head(self) -> Head:
        """See `Chain.head`."""
        call = self._call("head")
        slot = call.slot()
        head = self._chain.head(at_slot=slot)
        if call.strikes("other_cluster"):
            head = replace(head, genesis_hash=self._other_genesis_hash)
        if call.strikes("no_history"):
            first = max(head.first_available_slot, self._first_kept(slot))
            head = replace(head, first_available_slot=first)
        return head

    def transactions(self, signatures: Sequence[str]) -> tuple[LandedTransaction | None, ...]:
        """See `Chain.transactions`."""
        call = self._call("transactions")
        slot = call.slot()
        if call.strikes("other_cluster"):
            return tuple(None for _ in signatures)
        first = self._first_kept(slot) if call.strikes("no_history") else 0
        receipts = self._chain.transactions(signatures, at_slot=slot)
        return tuple(
            None if receipt is None or receipt.slot < first else receipt for receipt in receipts
        )

    def history(
        self,
        signer: str,
        *,
        before: str | None = None,
        limit: int = MAX_HISTORY_PER_CALL,
        min_context_slot: int = 0,
    ) -> tuple[LandedTransaction, ...]:
        """See `Chain.history`."""
        call = self._call("history")
        if call.strikes("other_cluster") or call.strikes("no_history"):
            raise Unavailable("HISTORY_NOT_AVAILABLE", "the node has not the whole history")
        return self._chain.history(
            signer,
            before=before,
            limit=limit,
            min_context_slot=min_context_slot,
            at_slot=call.slot(),
        )

    @property
    def _other_genesis_hash(self) -> str:
        return str(Hash(sha256(f"other:{self._chain.genesis_hash()}".encode()).digest()))

    def _first_kept(self, slot: int) -> int:
        return slot - self._config.history_kept_slots + 1

    def _call(self, method: str) -> "_Call":
        """The next call of this method. Raises `Unavailable` if it fails, perhaps after a wait."""
        call = _Call(self._config, method, next(self._calls[method]), self._chain.current_slot)
        if call.strikes("rpc_error"):
            raise Unavailable("RPC_ERROR", "the node answered with an error")
        if call.strikes("rpc_timeout"):
            self._sleep(self._config.rpc_timeout_ms / 1_000)
            raise Unavailable("RPC_TIMEOUT", "the node did not answer in time")
        if call.strikes("slow_answer"):
            self._sleep(self._config.slow_answer_ms / 1_000)
        return call


class _Call:
    """One call and the dice that were rolled for it."""

    def __init__(
        self, config: SimulationConfig, method: str, nth: int, current_slot: Callable[[], int]
    ) -> None:
        self.nth = nth
        self._config = config
        self._method = method
        self._current_slot = current_slot

    def strikes(self, fault: str) -> bool:
        return self._config.strikes(fault, self._method, self.nth)

    def slot(self) -> int:
        """The slot that the answering node has come to."""
        behind = self._config.lagging_by_slots if self.strikes("lagging_node") else 0
        return self._current_slot() - behind
