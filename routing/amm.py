"""Constant-product maths in integers: every rounding favours the pool.

Pure functions on base units. Formulas are those of Raydium's CPMM program (raydium-io/raydium-cp-swap,
`curve/constant_product.rs` and `curve/fees.rs`).
"""

from dataclasses import dataclass

PPM = 10**6
BPS = 10**4


@dataclass(frozen=True, slots=True)
class Fill:
    """What a pool pays. `amount_out_base` is in token out and `fee_base`, kept by it, in token in."""

    amount_out_base: int
    fee_base: int
    price_impact_bps: int


def ceil_div(numerator: int, denominator: int) -> int:
    """Division that rounds up; both non-negative, the denominator above 0."""
    return -(-numerator // denominator)


def swap_exact_in(
    *, reserve_in_base: int, reserve_out_base: int, amount_in_base: int, fee_ppm: int
) -> Fill:
    """Swap exactly `amount_in_base` into a pool with x*y = k.

    fee = ceil(in * rate / 10**6); out = floor(reserve_out * net / (reserve_in + net)), net = in - fee.
    The output is therefore always below the reserve. Price impact is net / (reserve_in + net), by how
    much the average price is worse than the price before the swap, to the nearest basis point.
    Raises `ValueError` for a negative amount or an empty pool.
    """
    if amount_in_base < 0 or reserve_in_base <= 0 or reserve_out_base <= 0:
        raise ValueError("a swap needs an amount of 0 or more and a pool with two reserves")
    fee_base = ceil_div(amount_in_base * fee_ppm, PPM)
    net_in_base = amount_in_base - fee_base
    reserve_after_base = reserve_in_base + net_in_base
    return Fill(
        amount_out_base=reserve_out_base * net_in_base // reserve_after_base,
        fee_base=fee_base,
        price_impact_bps=(2 * net_in_base * BPS + reserve_after_base) // (2 * reserve_after_base),
    )
