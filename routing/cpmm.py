"""Raydium's constant-product pool (CPMM) in integers: its state, and what a swap in it pays.

Formulas and roundings are those of the program (raydium-io/raydium-cp-swap: `curve/constant_product.rs`,
`curve/fees.rs`, `curve/calculator.rs`). Reserves are the vaults without the fees that the program owes to others.
What it refuses: to know a market, a program's accounts, or the fees on transfer and for creators that some pools have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from types import MappingProxyType
from typing import Any, Final

from routing.errors import Rejected
from routing.pool import MAX_U64, PRICE_ONE, Fill, too_large, too_small
from routing.rounding import PPM, ceil_div
from routing.tokens import TOKENS_BY_MINT, Token

FEE_TIERS_PPM: Final[Mapping[int, int]] = MappingProxyType(
    {0: 2_500, 1: 10_000, 2: 20_000, 3: 40_000, 4: 5_000, 5: 3_000, 6: 15_000, 7: 25_000}
)
"""The trade fee of each `amm_config`, by its index (https://api-v3.raydium.io/main/cpmm-config)."""


@dataclass(frozen=True, slots=True)
class CpmmPool:
    """A pool with x*y = k at one slot. Both reserves are above 0; `fee_ppm`, of what comes in, is below 10**6."""

    venue: str
    address: str
    token_x: Token
    token_y: Token
    slot: int
    reserve_x_base: int
    reserve_y_base: int
    fee_ppm: int

    def exact_in(self, token_in: Token, amount_in_base: int) -> Fill:
        """Swap exactly `amount_in_base` in.

        fee = ceil(in * rate / 10**6); out = floor(reserve_out * net / (reserve_in + net)), net = in - fee.
        That is always below the reserve. Raises `Rejected`: `AMOUNT_TOO_SMALL`, `AMOUNT_TOO_LARGE`.
        """
        if amount_in_base > MAX_U64:
            raise too_large()
        reserve_in_base, reserve_out_base = self._reserves(token_in)
        fee_base = ceil_div(amount_in_base * self.fee_ppm, PPM)
        net_in_base = amount_in_base - fee_base
        amount_out_base = reserve_out_base * net_in_base // (reserve_in_base + net_in_base)
        if amount_out_base < 1:
            raise too_small()
        return Fill(amount_in_base, amount_out_base, fee_base)

    def exact_out(self, token_in: Token, amount_out_base: int) -> Fill:
        """The least to swap in for at least `amount_out_base`, and what `exact_in` makes of it.

        net = ceil(reserve_in * out / (reserve_out - out)); in = ceil(net * 10**6 / (10**6 - rate)).
        The program's `swap_base_output` takes the same amount in and the same fee. It pays exactly `amount_out_base`
        and keeps what the last base unit in bought beyond that; this fill pays it, as `exact_in` does.
        Raises `Rejected`: `AMOUNT_TOO_SMALL` for nothing, `INSUFFICIENT_LIQUIDITY` for the whole reserve or more,
        `AMOUNT_TOO_LARGE` when either amount is beyond u64.
        """
        if amount_out_base > MAX_U64:
            raise too_large()
        if amount_out_base < 1:
            raise too_small()
        reserve_in_base, reserve_out_base = self._reserves(token_in)
        if amount_out_base >= reserve_out_base:
            raise Rejected("INSUFFICIENT_LIQUIDITY", "the pool does not hold so much")
        net_in_base = ceil_div(
            reserve_in_base * amount_out_base, reserve_out_base - amount_out_base
        )
        return self.exact_in(token_in, ceil_div(net_in_base * PPM, PPM - self.fee_ppm))

    def at_mid(self, token_in: Token, amount_in_base: int) -> int:
        """The amount in token out at the ratio of the reserves, without fee; rounded down."""
        reserve_in_base, reserve_out_base = self._reserves(token_in)
        return amount_in_base * reserve_out_base // reserve_in_base

    def takes_above(self, token_in: Token, price: int) -> int:
        """How much it takes in, fee included, while one more base unit still earns `price`, 1 or more, after the fee.

        After net, a unit earns (1 - rate) * reserve_in * reserve_out / (reserve_in + net)**2; solved for net.
        """
        reserve_in_base, reserve_out_base = self._reserves(token_in)
        kept_ppm = PPM - self.fee_ppm
        square = reserve_in_base * reserve_out_base * kept_ppm * PRICE_ONE // (PPM * price)
        net_in_base = isqrt(square) - reserve_in_base
        return min(max(net_in_base, 0) * PPM // kept_ppm, MAX_U64)

    def reserve_base(self, token: Token) -> int:
        """How much of one of its tokens the pool holds."""
        return self._reserves(token)[0]

    def pushed(self, x_base: int) -> "CpmmPool":
        """The state after others moved a net `x_base` of token X in (negative: out), without fees.

        Along x*y = k, y rounded up. One push leaves x within a quarter and four times of what it was.
        """
        x = self.reserve_x_base
        moved_x = min(max(x + x_base, ceil_div(x, 4)), 4 * x)
        return replace(
            self,
            reserve_x_base=moved_x,
            reserve_y_base=ceil_div(x * self.reserve_y_base, moved_x),
        )

    def as_json(self) -> dict[str, Any]:
        """The whole state. Tokens are mints; reserves, which may pass 2**53, are strings."""
        return {
            "venue": self.venue,
            "address": self.address,
            "tokenX": self.token_x.mint,
            "tokenY": self.token_y.mint,
            "slot": self.slot,
            "reserveXBase": str(self.reserve_x_base),
            "reserveYBase": str(self.reserve_y_base),
            "feePpm": self.fee_ppm,
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "CpmmPool":
        """The inverse of `as_json`, for listed tokens."""
        return cls(
            venue=state["venue"],
            address=state["address"],
            token_x=TOKENS_BY_MINT[state["tokenX"]],
            token_y=TOKENS_BY_MINT[state["tokenY"]],
            slot=state["slot"],
            reserve_x_base=int(state["reserveXBase"]),
            reserve_y_base=int(state["reserveYBase"]),
            fee_ppm=state["feePpm"],
        )

    def _reserves(self, token_in: Token) -> tuple[int, int]:
        """As (of token in, of token out), in base units."""
        if token_in.mint == self.token_x.mint:
            return self.reserve_x_base, self.reserve_y_base
        return self.reserve_y_base, self.reserve_x_base
