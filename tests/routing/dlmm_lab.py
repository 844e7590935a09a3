"""DLMM pools to test with: written bin by bin or drawn at random, and a swap worked out in exact fractions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor

from hypothesis import strategies as st

from routing.dlmm import DlmmPool, price_q64
from routing.dlmm_presets import PRESETS
from routing.tokens import SOL, USDC, Token

NOW_S = 1_800_000_000


def dlmm_pool(
    bins: Mapping[int, tuple[int, int]], *, active_id: int = 0, bin_step: int = 10
) -> DlmmPool:
    """SOL (X) against USDC (Y), long idle. `bins` has (X, Y) by id; what lies between is empty."""
    preset = PRESETS[bin_step]
    ids = range(min(*bins, active_id), max(*bins, active_id) + 1)
    return DlmmPool(
        venue="meteora",
        address="5rCf1DM8LjKTw4YqhnoLcngyZYeNnQqztScTogYHAS6",
        token_x=SOL,
        token_y=USDC,
        slot=7,
        bin_step=bin_step,
        base_factor=preset.base_factor,
        variable_fee_control=preset.variable_fee_control,
        max_volatility_accumulator=preset.max_volatility_accumulator,
        filter_period_s=preset.filter_period_s,
        decay_period_s=preset.decay_period_s,
        reduction_factor=preset.reduction_factor,
        active_id=active_id,
        lowest_id=ids[0],
        bins_x_base=tuple(bins.get(bin_id, (0, 0))[0] for bin_id in ids),
        bins_y_base=tuple(bins.get(bin_id, (0, 0))[1] for bin_id in ids),
        index_reference=active_id,
        volatility_reference=0,
        volatility_accumulator=0,
        last_update_s=0,
        now_s=NOW_S,
    )


@st.composite
def dlmm_pools(draw: st.DrawFn, *, deep: bool = False, at_rest: bool = False) -> DlmmPool:
    """Up to 9 bins around prices of 1/20 to 20, some of them empty.

    Deep: the others hold 10**12 or more. At rest: the variable fee starts from nothing at the active bin.
    """
    bin_step = draw(st.sampled_from(sorted(PRESETS)))
    preset = PRESETS[bin_step]
    active_id = draw(st.integers(-30_000 // bin_step, 30_000 // bin_step))
    below, above = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    little = st.just(0) if deep else st.integers(0, 1_000)
    held = st.one_of(st.just(0), little, st.integers(10**12 if deep else 1, 10**15))
    bins = {active_id: (draw(held), draw(held))}
    bins |= {active_id - i: (0, draw(held)) for i in range(1, below + 1)}
    bins |= {active_id + i: (draw(held), 0) for i in range(1, above + 1)}
    pool = dlmm_pool(bins, active_id=active_id, bin_step=bin_step)
    if at_rest:
        return pool
    volatility = st.integers(0, preset.max_volatility_accumulator)
    return replace(
        pool,
        index_reference=active_id + draw(st.integers(-20, 20)),
        volatility_reference=draw(volatility),
        volatility_accumulator=draw(volatility),
        last_update_s=NOW_S - draw(st.integers(0, 2 * preset.decay_period_s)),
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin ahead of a swap: what it holds of token out, its price in token out for token in, and its fee."""

    index: int
    held_base: int
    price: Fraction
    fee_rate: Fraction


def bins_ahead(pool: DlmmPool, token_in: Token) -> list[Bin]:
    """From the active bin to the last one that the pool knows, without the empty ones."""
    bins: list[Bin] = []
    for index, (x_base, y_base) in enumerate(zip(pool.bins_x_base, pool.bins_y_base, strict=True)):
        bin_id = pool.lowest_id + index
        price = Fraction(price_q64(pool.bin_step, bin_id), 2**64)
        if token_in == pool.token_x and y_base and bin_id <= pool.active_id:
            bins.insert(0, Bin(index, y_base, price, fee_rate(pool, bin_id)))
        elif token_in == pool.token_y and x_base and bin_id >= pool.active_id:
            bins.append(Bin(index, x_base, 1 / price, fee_rate(pool, bin_id)))
    return bins


def fee_rate(pool: DlmmPool, bin_id: int) -> Fraction:
    """Of what comes in, in one bin."""
    idle_s = pool.now_s - pool.last_update_s
    index, volatility = pool.index_reference, pool.volatility_reference
    if idle_s >= pool.filter_period_s:
        index, volatility = pool.active_id, pool.volatility_accumulator * pool.reduction_factor
        volatility = volatility // 10**4 if idle_s < pool.decay_period_s else 0
    volatility += 10**4 * abs(bin_id - index)
    volatility = min(volatility, pool.max_volatility_accumulator)
    square = (volatility * pool.bin_step) ** 2
    variable = ceil(Fraction(pool.variable_fee_control * square, 10**11))
    return min(
        Fraction(pool.base_factor * pool.bin_step, 10**8) + Fraction(variable, 10**9),
        Fraction(1, 10),
    )


@dataclass(frozen=True, slots=True)
class WorkedSwap:
    """`left_base` is what found no bin any more, `after` the bins as the swap left them."""

    amount_out_base: int
    fee_base: int
    left_base: int
    after: DlmmPool


def work_out(pool: DlmmPool, token_in: Token, amount_in_base: int) -> WorkedSwap:
    """A swap in exact fractions, rounded where the program rounds."""
    x, y = list(pool.bins_x_base), list(pool.bins_y_base)
    into, out_of = (x, y) if token_in == pool.token_x else (y, x)
    left, amount_out, fee, active_id = amount_in_base, 0, 0, pool.active_id
    for ahead in bins_ahead(pool, token_in):
        if left == 0:
            break
        active_id = pool.lowest_id + ahead.index
        net, net_of_all = floor(left * (1 - ahead.fee_rate)), ceil(ahead.held_base / ahead.price)
        if net > net_of_all:
            gross, net, out = ceil(net_of_all / (1 - ahead.fee_rate)), net_of_all, ahead.held_base
        else:
            gross, out = left, min(floor(net * ahead.price), ahead.held_base)
        into[ahead.index] += net
        out_of[ahead.index] -= out
        left, amount_out, fee = left - gross, amount_out + out, fee + gross - net
    after = replace(pool, active_id=active_id, bins_x_base=tuple(x), bins_y_base=tuple(y))
    return WorkedSwap(amount_out, fee, left, after)


def unrounded_out(pool: DlmmPool, token_in: Token, amount_in_base: int) -> Fraction:
    """What a swap would pay if base units could be divided; all that is ahead, at most."""
    left, amount_out = Fraction(amount_in_base), Fraction(0)
    for ahead in bins_ahead(pool, token_in):
        gross = min(left, ahead.held_base / ahead.price / (1 - ahead.fee_rate))
        amount_out += gross * (1 - ahead.fee_rate) * ahead.price
        left -= gross
    return amount_out
