"""The chain, as its RPC node shows it: the protocol that a real endpoint and the simulation both keep.

Everything is synchronous, asks one node at a time, and may be out of date by the time it is read. Heights and slots
are counts; signatures, blockhashes and addresses are base58. Method for method it is Solana's JSON RPC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from routing.errors import RoutingError

# One signature; a swap by this engine has no other signer (docs: solana.com/docs/core/fees).
NETWORK_FEE_LAMPORTS: Final = 5_000

MAX_SIGNATURES_PER_CALL: Final = 256
MAX_HISTORY_PER_CALL: Final = 1_000

Commitment = Literal["processed", "confirmed", "finalized"]


@dataclass(frozen=True, slots=True)
class Blockhash:
    """What a transaction must name: it can land up to and including `last_valid_block_height`."""

    blockhash: str
    last_valid_block_height: int
    genesis_hash: str
    slot: int


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain is. A node without the history before `first_available_slot` proves nothing of it."""

    slot: int
    block_height: int
    finalized_slot: int
    finalized_block_height: int
    genesis_hash: str
    first_available_slot: int


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """A transaction that landed. `error` is a code such as `SLIPPAGE_EXCEEDED`; it then moved nothing."""

    slot: int
    error: str | None
    commitment: Commitment


@dataclass(frozen=True, slots=True)
class Statuses:
    """Answers in the order asked; None means that the node does not know the signature.

    `slot` is the context slot: what landed later is not in the answer. Nor is what landed before
    `first_available_slot`, or on another cluster than that of `genesis_hash`; both were read from the same
    node and at the same instant as the answers.
    """

    slot: int
    statuses: tuple[SignatureStatus | None, ...]
    first_available_slot: int
    genesis_hash: str


@dataclass(frozen=True, slots=True)
class LandedTransaction:
    """A receipt. Amounts are base units; `amount_out_base` is 0 on error, the fee is paid all the same.

    Of a swap through several pools `venue` and `pool` name each, in their order, with a + between.
    """

    signature: str
    slot: int
    landed_at: datetime
    error: str | None
    memo: str
    signer: str
    venue: str
    pool: str
    amount_in_base: int
    amount_out_base: int
    min_amount_out_base: int
    fee_lamports: int


class Chain(Protocol):
    """An RPC endpoint. Every read raises `Unavailable` when it can't answer, and is safe to repeat.

    Each call may be answered by another node, and nodes differ: one lags, one has lost its history, one is
    on another cluster. An answer is true of the slot, the cluster and the history that it names, no more.
    """

    def latest_blockhash(self) -> Blockhash:
        """A blockhash to build on (getLatestBlockhash, getGenesisHash)."""

    def simulate_many(self, raws: Sequence[bytes]) -> tuple[RoutingError | None, ...]:
        """What would stop these transactions now, in one call (a JSON-RPC batch of simulateTransaction).

        Answers in the order given: None for what would land without an error, `Unavailable` with the code that it
        would land with, `Rejected` for bytes that no node would take. Sends nothing.
        """

    def send(self, raw: bytes) -> str:
        """Pass a signed transaction on, and return its signature (sendTransaction, skipPreflight).

        Returning says nothing of its landing. Raises `Rejected` for bytes that no node would take:
        malformed, badly signed, unknown program. Any trouble after that raises `FateUnknown`. Sending the
        same bytes again is always safe: a signature has one effect.
        """

    def send_many(self, raws: Sequence[bytes]) -> tuple[RoutingError | None, ...]:
        """The same for several transactions in one call (a JSON-RPC batch of sendTransaction).

        Answers in the order given: None for what the node took, else what `send` would have raised. Raises
        nothing itself.
        """

    def statuses(self, signatures: Sequence[str], *, search_history: bool = False) -> Statuses:
        """What became of up to 256 signatures (getSignatureStatuses).

        Without `search_history` the node looks only into its cache of the last 150 slots. A null proves
        that a transaction is dead only if the answer was given *after* a `head()` whose finalized height
        is past the transaction's last valid one, for that head's finalized slot or a later one, with history
        back to its signing, and both from its own cluster. Raises `ValueError` for more than 256.
        """

    def head(self) -> Head:
        """Slot and height, now and finalized (getSlot, getBlockHeight, getFirstAvailableBlock)."""

    def transactions(self, signatures: Sequence[str]) -> tuple[LandedTransaction | None, ...]:
        """Receipts in the order asked, None for what has not landed (getTransaction)."""

    def history(
        self,
        signer: str,
        *,
        before: str | None = None,
        limit: int = MAX_HISTORY_PER_CALL,
        min_context_slot: int = 0,
    ) -> tuple[LandedTransaction, ...]:
        """What this key signed and what landed, newest first (getSignaturesForAddress, getTransaction).

        A page: the next one has the last signature of this one as `before`, and the end is a page of fewer
        than `limit`. Several in one slot keep their order, so paging misses none and repeats none. Up to
        which slot it reaches isn't in the answer: give the `slot` of a `head()` as `min_context_slot`.

        Nothing is left out in silence. Raises `Unavailable` also when the node has not seen
        `min_context_slot`, does not know `before`, is on another cluster, or lacks a part of the history that
        other nodes have. Raises `ValueError` for a limit above 1,000 or below 1.
        """
