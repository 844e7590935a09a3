"""A pool's state at one slot, and what follows from it: the word that venues, router, chain and receipts share.

A state is frozen and complete: whoever has it computes the same fill, to the base unit, now or in a year.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from routing.errors import Rejected
from routing.tokens import Token

PRICE_ONE: Final = 2**64
"""Prices are integers: base units of token out for one base unit of token in, times 2**64."""

MAX_U64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Fill:
    """One swap in one pool. `fee_base`, kept by the pool, is a part of `amount_in_base` and in token in."""

    amount_in_base: int
    amount_out_base: int
    fee_base: int


class Pool(Protocol):
    """A pool of two tokens, at one slot. `token_x` and `token_y` are the pool's own order.

    `token_in` is one of the two; amounts are base units, in 0 .. 2**64 - 1. Every rounding favours the pool.
    """

    @property
    def venue(self) -> str:
        """The name of its venue."""

    @property
    def address(self) -> str:
        """Where it lives, base58."""

    @property
    def token_x(self) -> Token: ...

    @property
    def token_y(self) -> Token: ...

    @property
    def slot(self) -> int:
        """The slot that the state is of."""

    def exact_in(self, token_in: Token, amount_in_base: int) -> Fill:
        """Swap exactly `amount_in_base` in.

        Raises `Rejected`: `AMOUNT_TOO_SMALL` when it would pay nothing, `INSUFFICIENT_LIQUIDITY` when it can't pay
        for so much, `AMOUNT_TOO_LARGE` beyond u64.
        """

    def exact_out(self, token_in: Token, amount_out_base: int) -> Fill:
        """The least to swap in for at least `amount_out_base`. Raises as `exact_in` does."""

    def at_mid(self, token_in: Token, amount_in_base: int) -> int:
        """What the amount is worth in token out at the price before any swap, without fee; rounded down."""

    def takes_above(self, token_in: Token, price: int) -> int:
        """How much it takes in, fee included, while one more base unit still earns `price` or better after the fee.

        The pool's supply curve, for dividing an order: 0 when even the first unit earns less. It never grows with
        `price`. To within rounding; it decides shares, never amounts out.
        """

    def reserve_base(self, token: Token) -> int:
        """How much of one of its tokens the pool holds."""

    def as_json(self) -> dict[str, Any]:
        """The whole state, for a receipt; its venue's `restore` is the inverse. Integers beyond 2**53 are strings."""


def too_small() -> Rejected:
    """For an amount that pays nothing."""
    return Rejected("AMOUNT_TOO_SMALL", "the pool pays nothing for so small an amount")


def too_large() -> Rejected:
    """For an amount beyond u64."""
    return Rejected("AMOUNT_TOO_LARGE", "the amount does not fit the 64 bits of an instruction")
