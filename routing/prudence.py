"""A pool as far as a route relies on it: never on the last of what it holds.

Pools move between a decision and its landing. A leg that takes all that a pool holds fails on chain as soon as anything
moves; so no leg takes more than a part, and what is left has to do for the moves.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from routing.errors import Rejected
from routing.pool import MAX_U64, Fill, Pool
from routing.tokens import Token

MOST_OF_A_POOL_PCT: Final = 80


@dataclass(frozen=True, slots=True)
class PrudentPool:
    """See `Pool`. Whatever would take more than MOST_OF_A_POOL_PCT of the whole is `INSUFFICIENT_LIQUIDITY`."""

    whole: Pool
    _most_in_base: dict[Token, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def venue(self) -> str:
        return self.whole.venue

    @property
    def address(self) -> str:
        return self.whole.address

    @property
    def token_x(self) -> Token:
        return self.whole.token_x

    @property
    def token_y(self) -> Token:
        return self.whole.token_y

    @property
    def slot(self) -> int:
        return self.whole.slot

    def exact_in(self, token_in: Token, amount_in_base: int) -> Fill:
        return self._allowed(token_in, self.whole.exact_in(token_in, amount_in_base))

    def exact_out(self, token_in: Token, amount_out_base: int) -> Fill:
        return self._allowed(token_in, self.whole.exact_out(token_in, amount_out_base))

    def at_mid(self, token_in: Token, amount_in_base: int) -> int:
        return self.whole.at_mid(token_in, amount_in_base)

    def takes_above(self, token_in: Token, price: int) -> int:
        taken_base = self.whole.takes_above(token_in, price)
        return min(taken_base, self._most_in(token_in)) if taken_base else 0

    def reserve_base(self, token: Token) -> int:
        return self.whole.reserve_base(token)

    def as_json(self) -> dict[str, Any]:
        return self.whole.as_json()

    def _allowed(self, token_in: Token, fill: Fill) -> Fill:
        if fill.amount_out_base > self._most_out(token_in):
            sentence = f"it would take more than {MOST_OF_A_POOL_PCT} % of what the pool holds"
            raise Rejected("INSUFFICIENT_LIQUIDITY", sentence)
        return fill

    def _most_out(self, token_in: Token) -> int:
        token_out = self.token_y if token_in.mint == self.token_x.mint else self.token_x
        return self.whole.reserve_base(token_out) * MOST_OF_A_POOL_PCT // 100

    def _most_in(self, token_in: Token) -> int:
        """The most that pays no more than the part; 0 for a pool that holds next to nothing."""
        known_base = self._most_in_base.get(token_in)
        if known_base is None:
            try:
                # One less than the least that pays all of the part.
                most_out_base = self._most_out(token_in)
                known_base = self.whole.exact_out(token_in, most_out_base).amount_in_base - 1
            except Rejected as refusal:
                known_base = MAX_U64 if refusal.code == "AMOUNT_TOO_LARGE" else 0
            self._most_in_base[token_in] = known_base
        return known_base
