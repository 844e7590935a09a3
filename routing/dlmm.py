"""Meteora's DLMM in integers: a pool is a row of bins with one price each, and a swap walks along them.

Formulas and roundings are those of the program (MeteoraAg/dlmm-sdk, `commons/src`: `quote.rs`, `extensions/lb_pair.rs`,
`math/u64x64_math.rs`); docs.meteora.ag explains its fees. Only pools with its defaults: the fee is in token in, nobody
has limit orders, and the base fee's power factor is 0. What it refuses: to know a market or a program's accounts.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any, Final

from routing.errors import Rejected
from routing.pool import MAX_U64, PRICE_ONE, Fill, too_large, too_small
from routing.rounding import BPS, ceil_div
from routing.tokens import TOKENS_BY_MINT, Token

FEE_ONE: Final = 10**9  # fee rates are parts of this

_MAX_U128: Final = 2**128 - 1
# A price of about 2**32; farther out the program's prices become coarse, and at last neighbours share one.
_FARTHEST_PRECISE_ID: Final = 221_818


@lru_cache(maxsize=2**16)
def price_q64(bin_step: int, bin_id: int) -> int:
    """Base units of token Y for one of token X in a bin, times 2**64: (1 + bin_step / 10**4) ** bin_id.

    As the program's `pow`: the reciprocal's power by squaring, every product cut to 64 fractional bits, and inverted
    at the end for a positive id. Raises `ValueError` so far out that the cuts leave nothing.
    """
    square = _MAX_U128 // (PRICE_ONE + bin_step * PRICE_ONE // BPS)
    power = PRICE_ONE
    exponent = abs(bin_id)
    while exponent:
        if exponent & 1:
            power = power * square >> 64
        square = square * square >> 64
        exponent >>= 1
    if power == 0:
        raise ValueError(f"bin {bin_id} of step {bin_step} has no price")
    return _MAX_U128 // power if bin_id > 0 else power


def bin_of_price(bin_step: int, price: int) -> int:
    """The id of the highest bin whose `price_q64` is at most `price`.

    Raises `ValueError` for a price beyond about 2**-32 .. 2**32, times 2**64: no pair of real tokens comes near.
    """
    farthest_id = _FARTHEST_PRECISE_ID // bin_step
    ids = range(-farthest_id, farthest_id + 1)
    higher = bisect_right(ids, price, key=partial(price_q64, bin_step))
    if higher in (0, len(ids)):
        raise ValueError(f"no bin of step {bin_step} is precise enough for the price {price}")
    return ids[higher - 1]


_BinsAhead = tuple[tuple[int, int, int, int, int], ...]
"""The bins that pay for one of the tokens, the active one first, without the empty ones.

Each as (id, what it holds of token out, its price's numerator and denominator, what of 10**9 in the fee leaves).
"""


@dataclass(frozen=True)  # not slotted: it remembers the bins ahead
class DlmmPool:
    """A DLMM pool at one slot; implements `routing.pool.Pool`.

    Bin `lowest_id + i` holds `bins_x_base[i]` and `bins_y_base[i]`: only Y below the active bin, only X above it, both
    in it. A bin's price is 1 + `bin_step` / 10**4 times the one below. Fees stay apart from what bins hold.

    The base fee is `base_factor` * `bin_step` * 10 of 10**9. The variable fee grows with the square of volatility:
    10**4 a bin from `index_reference` to the one that pays, and `volatility_reference` for earlier swaps. The last one,
    at `last_update_s`, ended with `volatility_accumulator`, of which `reduction_factor` basis points are remembered for
    a while. `now_s` is the block time of swaps on this state.
    The program wants a base fee of 0.01 % or more, and fails on a bin worth more than u64 in the other token: no market
    has one, and a swap here does not check.
    """

    venue: str
    address: str
    token_x: Token
    token_y: Token
    slot: int
    bin_step: int
    base_factor: int
    variable_fee_control: int
    max_volatility_accumulator: int
    filter_period_s: int
    decay_period_s: int
    reduction_factor: int
    active_id: int
    lowest_id: int
    bins_x_base: tuple[int, ...]
    bins_y_base: tuple[int, ...]
    index_reference: int
    volatility_reference: int
    volatility_accumulator: int
    last_update_s: int
    now_s: int

    def __post_init__(self) -> None:
        # Otherwise a walk from an active bin below the row would silently go on at the row's other end.
        bins = len(self.bins_x_base)
        if not 0 <= self.active_id - self.lowest_id < bins == len(self.bins_y_base):
            raise ValueError("the active bin must be one of the bins, and each must hold X and Y")

    def exact_in(self, token_in: Token, amount_in_base: int) -> Fill:
        """Swap exactly `amount_in_base` in.

        In each bin: net = floor(in * (1 - rate)); a net below ceil(held / price) buys floor(net * price), and a larger
        one all that is held, for ceil(ceil(held / price) / (1 - rate)); the rest goes on to the next bin.
        Raises `Rejected`: `AMOUNT_TOO_SMALL`, `AMOUNT_TOO_LARGE`, `INSUFFICIENT_LIQUIDITY`.
        """
        if amount_in_base > MAX_U64:
            raise too_large()
        left_base = amount_in_base
        amount_out_base = fee_base = 0
        for _, held_base, price, one, kept in self._bins_ahead(token_in):
            net_base = left_base * kept // FEE_ONE
            capacity_base = ceil_div(held_base * one, price)
            if net_base <= capacity_base:
                amount_out_base += min(net_base * price // one, held_base)
                fee_base += left_base - net_base
                break
            gross_base = ceil_div(capacity_base * FEE_ONE, kept)
            amount_out_base += held_base
            fee_base += gross_base - capacity_base
            left_base -= gross_base
        else:
            raise _insufficient_liquidity()
        if amount_out_base < 1:
            raise too_small()
        return Fill(amount_in_base, amount_out_base, fee_base)

    def exact_out(self, token_in: Token, amount_out_base: int) -> Fill:
        """The least to swap in for at least `amount_out_base`, and what `exact_in` makes of it.

        What it takes to empty the bins before the last one; there net = ceil(out / price), in = ceil(net / (1 - rate)).
        The program's `swap_exact_out` takes the same, but keeps what the last base unit in bought beyond the amount.
        Raises `Rejected`: `AMOUNT_TOO_SMALL` for nothing, `INSUFFICIENT_LIQUIDITY` for more than the bins hold,
        `AMOUNT_TOO_LARGE` when either amount is beyond u64.
        """
        if amount_out_base > MAX_U64:
            raise too_large()
        if amount_out_base < 1:
            raise too_small()
        left_base, amount_in_base = amount_out_base, 0
        for _, held_base, price, one, kept in self._bins_ahead(token_in):
            # Only a net above what this bin takes goes on to the next. It is above: the next one needs 2 or more with
            # its fee, and even at 10 % they leave more than 1 here.
            net_base = ceil_div(min(left_base, held_base) * one, price)
            amount_in_base += ceil_div(net_base * FEE_ONE, kept)
            left_base -= held_base
            if left_base <= 0:
                return self.exact_in(token_in, amount_in_base)
        raise _insufficient_liquidity()

    def at_mid(self, token_in: Token, amount_in_base: int) -> int:
        """The amount in token out at the active bin's price, without fee; rounded down."""
        price, one = self._price(self.active_id, x_in=self._is_x(token_in))
        return amount_in_base * price // one

    def takes_above(self, token_in: Token, price: int) -> int:
        """How much it takes in, fee included, while one more base unit still earns `price` or better after the fee.

        Whole bins, up to the first that earns less: a falling variable fee may let a later one earn more again.
        """
        taken_base = 0
        for _, held_base, bin_price, one, kept in self._bins_ahead(token_in):
            if bin_price * kept * PRICE_ONE < price * one * FEE_ONE:
                break
            taken_base += ceil_div(ceil_div(held_base * one, bin_price) * FEE_ONE, kept)
        return min(taken_base, MAX_U64)

    def reserve_base(self, token: Token) -> int:
        """How much of one of its tokens the pool holds, fees apart."""
        return sum(self.bins_x_base if self._is_x(token) else self.bins_y_base)

    def pushed(self, x_base: int) -> "DlmmPool":
        """The state after others moved a net `x_base` of token X in (negative: out), without fees.

        Y goes out rounded down, or comes in rounded up. A push ends at the last unit of the outermost bin that pays; it
        moves nothing when none does. Volatility stays as it was: who swapped when is the caller's to say.
        """
        if x_base == 0:
            return self
        x, y = list(self.bins_x_base), list(self.bins_y_base)
        pushes_in, left_base, active_id = x_base > 0, abs(x_base), self.active_id
        into, out_of = (x, y) if pushes_in else (y, x)
        ahead = self._bins_ahead(self.token_x if pushes_in else self.token_y)
        for bin_id, held_base, price, one, _ in ahead:
            active_id = bin_id
            out_base = held_base - (bin_id == ahead[-1][0])
            if pushes_in:
                in_base = min(left_base, ceil_div(out_base * one, price))
                out_base = min(out_base, in_base * price // one)
            else:
                out_base = min(left_base, out_base)
                in_base = ceil_div(out_base * one, price)
            into[bin_id - self.lowest_id] += in_base
            out_of[bin_id - self.lowest_id] -= out_base
            left_base -= in_base if pushes_in else out_base
            if left_base == 0:
                break
        return replace(self, active_id=active_id, bins_x_base=tuple(x), bins_y_base=tuple(y))

    def as_json(self) -> dict[str, Any]:
        """The whole state. Tokens are mints; what bins hold, which may pass 2**53, are strings."""
        return {
            "venue": self.venue,
            "address": self.address,
            "tokenX": self.token_x.mint,
            "tokenY": self.token_y.mint,
            **{key: getattr(self, field) for field, key in _INTEGERS.items()},
            "binsXBase": [str(amount_base) for amount_base in self.bins_x_base],
            "binsYBase": [str(amount_base) for amount_base in self.bins_y_base],
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "DlmmPool":
        """The inverse of `as_json`, for listed tokens."""
        return cls(
            venue=state["venue"],
            address=state["address"],
            token_x=TOKENS_BY_MINT[state["tokenX"]],
            token_y=TOKENS_BY_MINT[state["tokenY"]],
            bins_x_base=tuple(map(int, state["binsXBase"])),
            bins_y_base=tuple(map(int, state["binsYBase"])),
            **{field: state[key] for field, key in _INTEGERS.items()},
        )

    def _is_x(self, token: Token) -> bool:
        return token.mint == self.token_x.mint

    def _price(self, bin_id: int, *, x_in: bool) -> tuple[int, int]:
        """A bin's price in token out for token in, as a fraction: (numerator, denominator)."""
        price = price_q64(self.bin_step, bin_id)
        return (price, PRICE_ONE) if x_in else (PRICE_ONE, price)

    def _bins_ahead(self, token_in: Token) -> "_BinsAhead":
        return self._ahead_of_x if self._is_x(token_in) else self._ahead_of_y

    @cached_property
    def _ahead_of_x(self) -> "_BinsAhead":
        return tuple(self._ahead(x_in=True))

    @cached_property
    def _ahead_of_y(self) -> "_BinsAhead":
        return tuple(self._ahead(x_in=False))

    def _ahead(self, *, x_in: bool) -> Iterator[tuple[int, int, int, int, int]]:
        held = self.bins_y_base if x_in else self.bins_x_base
        end_id, direction = (self.lowest_id - 1, -1) if x_in else (self.lowest_id + len(held), 1)
        index_reference, volatility_reference = self._references()
        accumulator = kept = -1
        for bin_id in range(self.active_id, end_id, direction):
            held_base = held[bin_id - self.lowest_id]
            if held_base == 0:
                continue
            volatility = volatility_reference + abs(bin_id - index_reference) * BPS
            volatility = min(volatility, self.max_volatility_accumulator)
            if volatility != accumulator:
                accumulator, kept = volatility, FEE_ONE - self._fee_rate(volatility)
            yield bin_id, held_base, *self._price(bin_id, x_in=x_in), kept

    def _references(self) -> tuple[int, int]:
        """As (index, volatility). A swap soon after the last one goes on from the same reference, a later one anew."""
        elapsed_s = self.now_s - self.last_update_s
        if elapsed_s < self.filter_period_s:
            return self.index_reference, self.volatility_reference
        if elapsed_s < self.decay_period_s:
            return self.active_id, self.volatility_accumulator * self.reduction_factor // BPS
        return self.active_id, 0

    def _fee_rate(self, volatility: int) -> int:
        """Of 10**9: base fee and variable fee, at most 10 %."""
        variable = ceil_div(self.variable_fee_control * (volatility * self.bin_step) ** 2, 10**11)
        return min(self.base_factor * self.bin_step * 10 + variable, FEE_ONE // 10)


_INTEGERS: Final = {
    "slot": "slot",
    "bin_step": "binStep",
    "base_factor": "baseFactor",
    "variable_fee_control": "variableFeeControl",
    "max_volatility_accumulator": "maxVolatilityAccumulator",
    "filter_period_s": "filterPeriodS",
    "decay_period_s": "decayPeriodS",
    "reduction_factor": "reductionFactor",
    "active_id": "activeId",
    "lowest_id": "lowestId",
    "index_reference": "indexReference",
    "volatility_reference": "volatilityReference",
    "volatility_accumulator": "volatilityAccumulator",
    "last_update_s": "lastUpdateS",
    "now_s": "nowS",
}
"""The fields that are numbers in JSON: below 2**53, and by their JSON names."""


def _insufficient_liquidity() -> Rejected:
    return Rejected("INSUFFICIENT_LIQUIDITY", "the pool's bins do not hold so much")
