"""What every venue promises: the state of its pools, and the instruction that swaps in one of them.

Owns the words shared by venues, router and chain. It has no opinion on how a venue prices a swap.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.pool import Pool
from routing.tokens import Token

Pair = tuple[Token, Token]
"""Two tokens; a pool of them swaps either way."""


@dataclass(frozen=True, slots=True)
class Swap:
    """What a trader wants: exactly `amount_in_base` of `token_in`, as much `token_out` as possible."""

    token_in: Token
    token_out: Token
    amount_in_base: int


@dataclass(frozen=True, slots=True)
class SwapTerms:
    """What a swap instruction says: the inverse of `Venue.instruction`."""

    pool: str
    swap: Swap
    min_amount_out_base: int

    def amounts(self) -> bytes:
        """Amount in and least amount out as little-endian u64, as the data of many programs' swaps end."""
        return struct.pack("<QQ", self.swap.amount_in_base, self.min_amount_out_base)


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

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        """All its pools of these pairs as they are now, of one slot. Safe to repeat; sends nothing.

        Raises `Unavailable` when the venue can't answer. It may hang: the caller has the deadline.
        """

    def restore(self, stored: dict[str, Any]) -> Pool:
        """The state that `Pool.as_json` wrote: the same fills, whatever the market does meanwhile."""

    def instruction(self, terms: SwapTerms, *, owner: Pubkey) -> Instruction:
        """The instruction that swaps for `owner`, or does nothing below the minimum.

        Amounts are u64 base units. Raises `Rejected` with the code `NO_POOL` when the pool is none of
        the venue's for that pair, and `AMOUNT_TOO_LARGE` beyond u64.
        """


class Program(Venue, Protocol):
    """The on-chain side of a venue, which only the simulated chain calls when a swap lands."""

    def decode(self, instruction: Instruction) -> SwapTerms:
        """The terms for which `instruction` writes this. Raises `Rejected` (`MALFORMED_INSTRUCTION`) if none."""

    def state(self, address: str, *, slot: int, moved_x_base: int) -> Pool:
        """A pool at `slot`, when recent swaps left `moved_x_base` of its token X in it (or took it, below 0)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from the chain: its slot, and by how much of token X recent swaps have displaced each pool."""

    slot: int
    displaced_x_base: Mapping[str, int]


class AccountFeed(Protocol):
    """How the accounts of a venue's pools reach us: slowly, or not at all."""

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        """Wait for the venue's answer. May raise `Unavailable`."""
