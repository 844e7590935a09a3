"""What every venue promises: a quote, and the instruction that executes it.

Owns the words shared by venues, router and chain. It has no opinion on how a venue prices a swap.
"""

from dataclasses import dataclass
from typing import Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.tokens import Token

MAX_U64 = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Swap:
    """What a trader wants: exactly `amount_in_base` of `token_in`, as much `token_out` as possible."""

    token_in: Token
    token_out: Token
    amount_in_base: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What one pool would pay for a swap at one slot.

    `amount_out_base` is after the pool's fee. `fee_base` is in token in; `network_fee_base` (what the
    transaction costs, rounded up) and `depth_base` (the pool's reserve) are in token out.
    `price_impact_bps` is to the nearest basis point: for people, it decides nothing.
    """

    venue: str
    pool: str
    amount_in_base: int
    amount_out_base: int
    fee_base: int
    network_fee_base: int
    price_impact_bps: int
    depth_base: int
    slot: int

    @property
    def net_out_base(self) -> int:
        """What is left after the network's fee, in token out; below 0 when the fee is the larger."""
        return self.amount_out_base - self.network_fee_base


@dataclass(frozen=True, slots=True)
class SwapTerms:
    """What a swap instruction says: the inverse of `Venue.instruction`."""

    pool: str
    swap: Swap
    min_amount_out_base: int


class Venue(Protocol):
    """A decentralised exchange, as its client sees it."""

    @property
    def name(self) -> str:
        """What the wire calls it, for example "raydium" (`selectedDex`)."""

    @property
    def label(self) -> str:
        """What people call it, for example "Raydium"."""

    @property
    def program_id(self) -> Pubkey:
        """The on-chain program that executes its instructions."""

    async def quote(self, swap: Swap) -> Quote:
        """What its pool for the pair would pay now. Safe to repeat; sends nothing.

        Raises `Unavailable` when the venue can't answer, and `Rejected` with the code `NO_POOL`,
        `AMOUNT_TOO_SMALL` or `AMOUNT_TOO_LARGE`. It may hang: the caller has the deadline.
        """

    def instruction(
        self, *, pool: str, swap: Swap, min_amount_out_base: int, owner: Pubkey
    ) -> Instruction:
        """The instruction that swaps in `pool` for `owner`, or does nothing below the minimum.

        Amounts are u64 base units. Raises `Rejected` with the code `NO_POOL` when `pool` is none of
        the venue's for that pair, and `AMOUNT_TOO_LARGE` beyond u64.
        """


class Program(Venue, Protocol):
    """The on-chain side of a venue, which only the simulated chain calls when a swap lands."""

    def decode(self, instruction: Instruction) -> SwapTerms:
        """Read back what `instruction` wrote. Raises `Rejected` (`MALFORMED_INSTRUCTION`)."""

    def pay_out(self, terms: SwapTerms, *, slot: int) -> int:
        """What the pool pays at `slot` after its fee, in base units of token out; may be 0."""


class SlotFeed(Protocol):
    """How a venue's state reaches us: slowly, or not at all."""

    async def current_slot(self, *, venue: str, swap: Swap) -> int:
        """Wait for the venue's answer, and return the slot it answers for. May raise `Unavailable`."""
