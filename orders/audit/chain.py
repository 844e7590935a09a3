"""The chain as an audit or a reconciliation reads it: patiently, and no answer taken for more than it is worth.

Each call may meet another node: one that fails, lags, has lost its history, or is on another cluster.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from orders.exchange import TradingDesk
from routing.chain import (
    MAX_HISTORY_PER_CALL,
    MAX_SIGNATURES_PER_CALL,
    Blockhash,
    Head,
    LandedTransaction,
)
from routing.errors import Unavailable

T = TypeVar("T")

TRIES = 20
PAUSE_S = 0.25
# So many nodes are asked where the chain is, where one that lags would do harm.
ANSWERS = 3


@dataclass(frozen=True, slots=True)
class Sought:
    """A transaction that is said to have landed, and the heights between which it can have."""

    signature: str
    signed_slot: int
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class ChainReader:
    """Every method raises Unavailable when no node gave an answer of use in `TRIES` tries."""

    desk: TradingDesk
    sleep: Callable[[float], None] = time.sleep

    def head(self) -> Head:
        """Where our cluster is, and how far back its history goes: the best of several answers."""
        heads = [self._patiently(self._our_head) for _ in range(ANSWERS)]
        newest = max(heads, key=lambda head: head.slot)
        oldest = min(head.first_available_slot for head in heads)
        return replace(newest, first_available_slot=oldest)

    def blockhash(self, *, not_before: int) -> Blockhash:
        """One of our cluster, from a node that has come to this slot."""
        return self._patiently(partial(self._our_blockhash, not_before))

    def history(
        self, *, up_to: int, tell: Callable[[int], None] = lambda count: None
    ) -> Iterator[LandedTransaction]:
        """All that our key signed and that landed, newest first, up to this slot or later."""
        signer, before, count = str(self.desk.signer.pubkey()), None, 0
        while True:
            # A node that has not come that far would answer a page that looks like the last one.
            ask = partial(self.desk.chain.history, before=before, min_context_slot=up_to)
            page = self._patiently(partial(ask, signer))
            yield from page
            count += len(page)
            tell(count)
            if len(page) < MAX_HISTORY_PER_CALL:
                return
            before = page[-1].signature

    def look_for(
        self, sought: Sequence[Sought]
    ) -> tuple[dict[str, LandedTransaction], frozenset[str]]:
        """The receipts that there are, and the signatures that are proven absent. Of others nothing can be said."""
        receipts: dict[str, LandedTransaction] = {}
        absent: frozenset[str] = frozenset()
        for tried in range(TRIES):
            left = [s for s in sought if s.signature not in receipts.keys() | absent]
            if not left:
                break
            if tried:
                self.sleep(PAUSE_S)
            for chunk in _in_calls(left):
                signatures = [each.signature for each in chunk]
                found = self._patiently(partial(self.desk.chain.transactions, signatures))
                receipts |= {receipt.signature: receipt for receipt in found if receipt}
                absent |= self._absent([s for s in chunk if s.signature not in receipts])
        return receipts, absent

    def _absent(self, sought: Sequence[Sought]) -> frozenset[str]:
        """Those of which a null proves that they never landed: see `Chain.statuses`."""
        if not sought:
            return frozenset()
        head = self.head()
        signatures = [each.signature for each in sought]
        ask = partial(self.desk.chain.statuses, signatures, search_history=True)
        answer = self._patiently(ask)
        if answer.genesis_hash != head.genesis_hash or answer.slot < head.finalized_slot:
            return frozenset()
        return frozenset(
            each.signature
            for each, status in zip(sought, answer.statuses, strict=True)
            if status is None
            and answer.first_available_slot <= each.signed_slot
            and each.last_valid_block_height < head.finalized_block_height
        )

    def _our_head(self) -> Head:
        head = self.desk.chain.head()
        self._check_cluster(head.genesis_hash)
        return head

    def _our_blockhash(self, not_before: int) -> Blockhash:
        blockhash = self.desk.chain.latest_blockhash()
        self._check_cluster(blockhash.genesis_hash)
        if blockhash.slot < not_before:
            raise Unavailable("NODE_BEHIND", "the node lags behind the chain")
        return blockhash

    def _check_cluster(self, genesis_hash: str) -> None:
        if genesis_hash != self.desk.genesis_hash():
            raise Unavailable("WRONG_CLUSTER", "the node is on another cluster than this engine")

    def _patiently(self, ask: Callable[[], T]) -> T:
        for _ in range(TRIES - 1):
            try:
                return ask()
            except Unavailable:
                self.sleep(PAUSE_S)
        return ask()


def _in_calls(sought: Sequence[Sought]) -> Iterable[Sequence[Sought]]:
    for start in range(0, len(sought), MAX_SIGNATURES_PER_CALL):
        yield sought[start : start + MAX_SIGNATURES_PER_CALL]
