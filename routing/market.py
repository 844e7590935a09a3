"""Seeded prices: pure functions of (seed, slot), in integers only.

A token's price is a base price times noise and jumps. Noise is smooth value noise: each octave hashes the lattice
points around a slot and interpolates between them. Jumps are hashed per epoch, and fade. A pool follows the price a
few slots late, and strays from it by a noise of its own. Nothing is carried from slot to slot, so any slot costs the
same, and every process agrees to the base unit. What it refuses: to know a venue by name, or any swap that landed.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

from routing.pool import PRICE_ONE
from routing.rounding import PPM
from routing.route import ReferencePrices
from routing.tokens import Token

PICO_USD: Final = 10**12


@dataclass(frozen=True, slots=True)
class Reference:
    """A token's market. `price_pico` is in 10**-12 of a dollar, or of the token it `follows`."""

    price_pico: int
    volatility_pct: int
    depth_usd: int
    follows: str | None = None


@dataclass(frozen=True, slots=True)
class Octave:
    """One scale of noise: up to +-`amplitude_ppm`, with a new random target every `period` slots."""

    period: int
    amplitude_ppm: int


@dataclass(frozen=True, slots=True)
class Jump:
    """News of a token: from `slot` on, and fading, `size_ppm` of its price."""

    slot: int
    size_ppm: int


# Volatility is relative to SOL's. USDC is the unit of account, so it does not move at all.
REFERENCES: Final[Mapping[str, Reference]] = MappingProxyType(
    {
        "SOL": Reference(150 * PICO_USD, 100, 20_000_000),
        "USDC": Reference(PICO_USD, 0, 20_000_000),
        "USDT": Reference(PICO_USD * 9_995 // 10_000, 1, 12_000_000),
        "JUP": Reference(PICO_USD * 85 // 100, 120, 3_000_000),
        "RAY": Reference(PICO_USD * 32 // 10, 120, 2_500_000),
        "BONK": Reference(PICO_USD * 22 // 10**6, 150, 3_000_000),
        # Staked SOL is worth SOL and what it earned, so its price is one in SOL that hardly moves.
        "mSOL": Reference(PICO_USD * 124 // 100, 1, 6_000_000, follows="SOL"),
        "JTO": Reference(PICO_USD * 21 // 10, 130, 2_000_000),
        "WIF": Reference(PICO_USD * 9 // 10, 150, 2_000_000),
        "PYTH": Reference(PICO_USD * 16 // 100, 130, 1_500_000),
    }
)

# From a week's trend to a slot's tick. A walk's steps grow with the root of time: four times as slow is twice as wide.
# At a volatility of 100 % that makes some 5 % a day.
PRICE_OCTAVES: Final = (
    Octave(864_000, 100_000),
    Octave(216_000, 50_000),
    Octave(54_000, 25_000),
    Octave(13_500, 12_500),
    Octave(3_375, 6_250),
    Octave(844, 3_120),
    Octave(211, 1_560),
    Octave(53, 780),
    Octave(13, 390),
    Octave(3, 190),
)
# In every fifth epoch (40 minutes of 400 ms slots) comes news: at 100 % volatility, up to 4 % within a slot. With all
# octaves at their worst, and all the jumps that can be felt at once, a price stays above 0.
JUMP_EPOCH_SLOTS: Final = 6_000
JUMP_CHANCE_PCT: Final = 20
JUMP_PPM: Final = 40_000
JUMP_FADES_IN_EPOCHS: Final = 4

# A pool hears of a price 1 to 8 slots late, and takes as many slots as are averaged to follow a jump.
MAX_LAG_SLOTS: Final = 8
FOLLOWED_SLOTS: Final = 4
# Within its fee nobody moves a pool back: it wavers by some basis points. Now and then it strays, by up to 2.8 %. In
# pairs that are less volatile than SOL, both are less.
WAVER_OCTAVES: Final = (Octave(1_500, 1_500), Octave(200, 600), Octave(40, 200))
STRAY_OCTAVE: Final = Octave(900, PPM)
STRAY_PPM: Final = 28_000
# A number below 1 to this power is next to nothing, unless it is next to 1.
STRAY_POWER: Final = 9
CALMEST_PAIR_PCT: Final = 5


class Market:
    """The prices of one seed. Safe to share between threads: it caches, but holds no state."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        # Bounded: whoever swaps now asks for the same few slots again and again.
        self._cached_target = lru_cache(maxsize=20_000)(self._target)
        self._cached_price = lru_cache(maxsize=4_096)(self._price_pico_usd)
        self._cached_jump = lru_cache(maxsize=1_024)(self._jump)
        self._cached_pool_price = lru_cache(maxsize=4_096)(self._pool_price)

    def price_pico_usd(self, token: Token, slot: int) -> int:
        """The price of one whole token at `slot`, in 10**-12 of a dollar."""
        return self._cached_price(token.symbol, slot)

    def reference_prices(self, tokens: Sequence[Token], slot: int) -> ReferencePrices:
        """What these tokens are worth at `slot`."""
        return ReferencePrices({t.symbol: self.price_pico_usd(t, slot) for t in tokens})

    def pool_price(self, *, pool: str, token_x: Token, token_y: Token, slot: int) -> int:
        """The price that arbitrage left in the pool with this address, as `PRICE_ONE` has it: of X, in Y.

        It is the reference price of some slots ago, averaged over a few slots, and strays by a noise of the pool's own.
        """
        return self._cached_pool_price(pool, token_x, token_y, slot)

    def reference_price(self, token_x: Token, token_y: Token, *, slot: int) -> int:
        """The price of X in Y that all pools follow, as `PRICE_ONE` has it."""
        return _price(
            self.price_pico_usd(token_x, slot), token_x, self.price_pico_usd(token_y, slot), token_y
        )

    def draw(self, label: str) -> bytes:
        """64 bytes that follow from the seed and the label alone: for whatever else is to differ from pool to pool."""
        return blake2b(f"{self._seed}:{label}".encode()).digest()

    def _price_pico_usd(self, symbol: str, slot: int) -> int:
        reference = REFERENCES[symbol]
        price_pico = reference.price_pico
        if reference.volatility_pct:  # of what stands still, no noise need be drawn
            noise_ppm = self._noise_ppm(f"price:{symbol}", slot, PRICE_OCTAVES)
            noise_ppm += self._jumps_ppm(symbol, slot)
            price_pico = price_pico * (PPM + noise_ppm * reference.volatility_pct // 100) // PPM
        if reference.follows is None:
            return price_pico
        return price_pico * self._cached_price(reference.follows, slot) // PICO_USD

    def _pool_price(self, pool: str, token_x: Token, token_y: Token, slot: int) -> int:
        newest = slot - 1 - self._cached_target(f"lag:{pool}", 0, 0) % MAX_LAG_SLOTS
        followed = range(newest - FOLLOWED_SLOTS + 1, newest + 1)
        price = _price(
            sum(self.price_pico_usd(token_x, at) for at in followed),
            token_x,
            sum(self.price_pico_usd(token_y, at) for at in followed),
            token_y,
        )
        stray_ppm = self._stray_ppm(pool, slot) * _pair_volatility_pct(token_x, token_y) // 100
        return price * (PPM + stray_ppm) // PPM

    def _stray_ppm(self, pool: str, slot: int) -> int:
        waver_ppm = self._noise_ppm(f"waver:{pool}", slot, WAVER_OCTAVES)
        far_ppm = self._octave_ppm(f"stray:{pool}", slot, STRAY_OCTAVE)
        stray_ppm: int = STRAY_PPM * far_ppm**STRAY_POWER // PPM**STRAY_POWER
        return waver_ppm + stray_ppm

    def _jumps_ppm(self, symbol: str, slot: int) -> int:
        epoch, fades_in = slot // JUMP_EPOCH_SLOTS, JUMP_FADES_IN_EPOCHS * JUMP_EPOCH_SLOTS
        jumps_ppm = 0
        for felt in range(epoch - JUMP_FADES_IN_EPOCHS, epoch + 1):
            jump = self._cached_jump(symbol, felt)
            if 0 <= slot - jump.slot < fades_in:
                gone_ppm = _smoothstep_ppm(slot - jump.slot, fades_in)
                jumps_ppm += jump.size_ppm * (PPM - gone_ppm) // PPM
        return jumps_ppm

    def _jump(self, symbol: str, epoch: int) -> Jump:
        """The epoch's jump, of size 0 in most of them. Squared, so that small ones are usual."""
        happens, at, size = struct.unpack_from("<3I", self.draw(f"jump:{symbol}:{epoch}"))
        slot = epoch * JUMP_EPOCH_SLOTS + at % JUMP_EPOCH_SLOTS
        if happens % 100 >= JUMP_CHANCE_PCT:
            return Jump(slot, 0)
        share_ppm = size % (2 * PPM + 1) - PPM
        return Jump(slot, JUMP_PPM * share_ppm * abs(share_ppm) // PPM**2)

    def _noise_ppm(self, label: str, slot: int, octaves: tuple[Octave, ...]) -> int:
        return sum(self._octave_ppm(label, slot, octave) for octave in octaves)

    def _octave_ppm(self, label: str, slot: int, octave: Octave) -> int:
        """Value noise."""
        period = octave.period
        # A phase of its own, or every price would stand still at the same slots.
        phase = self._cached_target(label, period, -1)
        index, t = divmod(slot + phase, period)
        start, end = (
            self._cached_target(label, period, index),
            self._cached_target(label, period, index + 1),
        )
        return (
            octave.amplitude_ppm
            * (start * PPM + (end - start) * _smoothstep_ppm(t, period))
            // PPM**2
        )

    def _target(self, label: str, period: int, index: int) -> int:
        """A lattice point: uniform in -10**6 .. 10**6."""
        digest = self.draw(f"{label}:{period}:{index}")
        return int.from_bytes(digest[:8], "little") % (2 * PPM + 1) - PPM


def depth_base(token_x: Token, token_y: Token, *, share_pct: int) -> tuple[int, int]:
    """A share of a pair's depth as an amount of X and one of Y, worth the same at base prices.

    The pair is as deep as the thinner token.
    """
    depth_pico = min(REFERENCES[token.symbol].depth_usd for token in (token_x, token_y)) * PICO_USD
    amount_x_base, amount_y_base = (
        depth_pico * share_pct * 10**token.decimals // (100 * _base_price_pico_usd(token))
        for token in (token_x, token_y)
    )
    return amount_x_base, amount_y_base


def _base_price_pico_usd(token: Token) -> int:
    reference = REFERENCES[token.symbol]
    if reference.follows is None:
        return reference.price_pico
    return reference.price_pico * REFERENCES[reference.follows].price_pico // PICO_USD


def _price(pico_x: int, token_x: Token, pico_y: int, token_y: Token) -> int:
    """From the dollars of whole tokens to base units of Y for one of X, times 2**64."""
    price: int = PRICE_ONE * pico_x * 10**token_y.decimals // (pico_y * 10**token_x.decimals)
    return price


def _pair_volatility_pct(token_x: Token, token_y: Token) -> int:
    """What a pair's pools waver and stray by, of what SOL/USDC's do. It is least where one token follows the other."""
    for token, other in ((token_x, token_y), (token_y, token_x)):
        if REFERENCES[token.symbol].follows == other.symbol:
            return CALMEST_PAIR_PCT
    volatility_pct = max(_volatility_pct(token) for token in (token_x, token_y))
    return min(max(volatility_pct, CALMEST_PAIR_PCT), 100)


def _volatility_pct(token: Token) -> int:
    reference = REFERENCES[token.symbol]
    if reference.follows is None:
        return reference.volatility_pct
    return REFERENCES[reference.follows].volatility_pct


def _smoothstep_ppm(t: int, period: int) -> int:
    """From 0 at t = 0 to 10**6 at t = period, level at both ends: Perlin's u*u*(3 - 2u), so no price has a corner."""
    return PPM * t * t * (3 * period - 2 * t) // period**3
