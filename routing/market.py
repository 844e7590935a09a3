"""Seeded prices and pool reserves: pure functions of (seed, slot), in integers only.

A price is a base price times smooth value noise: each octave hashes the lattice points around a slot and
interpolates between them. Nothing is carried from slot to slot, so any slot costs the same, and every
process agrees to the base unit. What it refuses: to know a venue by name, or any swap that landed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import isqrt
from types import MappingProxyType
from typing import Final

from routing.amm import PPM, ceil_div
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
class Reserves:
    """What a pool holds at a slot, in base units."""

    token_0_base: int
    token_1_base: int


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

# From a day's swing to a slot's tick. The sum stays far below 100 %, so no price reaches 0.
PRICE_OCTAVES: Final = (
    Octave(216_000, 150_000),
    Octave(27_000, 40_000),
    Octave(3_375, 10_000),
    Octave(422, 2_000),
    Octave(53, 600),
    Octave(7, 150),
)
# Two pools, each within +-2.5 % of the reference, are up to 5 % apart; a landing takes about 8 slots,
# in which neither moves by more than a few basis points.
DRIFT_OCTAVES: Final = (Octave(3_000, 18_000), Octave(700, 7_000))


class Market:
    """The prices of one seed. Safe to share between threads: it caches, but holds no state."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        # Bounded: whoever swaps now asks for the same few slots again and again.
        self._cached_target = lru_cache(maxsize=20_000)(self._target)
        self._cached_price = lru_cache(maxsize=4_096)(self._price_pico_usd)
        self._cached_reserves = lru_cache(maxsize=4_096)(self._reserves)

    def price_pico_usd(self, token: Token, slot: int) -> int:
        """The price of one whole token at `slot`, in 10**-12 of a dollar."""
        return self._cached_price(token.symbol, slot)

    def reserves(
        self, *, pool: str, token_0: Token, token_1: Token, share_pct: int, slot: int
    ) -> Reserves:
        """What a constant-product pool holds once arbitrage moved it to its price of the slot.

        `share_pct` is its part of the pair's depth. k is that depth at base prices and stays; at a
        price p of token 0 in token 1, the reserves are sqrt(k / p) and sqrt(k * p).
        """
        return self._cached_reserves(pool, token_0, token_1, share_pct, slot)

    def drift_ppm(self, pool: str, slot: int) -> int:
        """How far the pool with this address stands from the reference price at `slot`."""
        return self._noise_ppm(f"drift:{pool}", slot, DRIFT_OCTAVES)

    def convert(self, amount_base: int, token_in: Token, token_out: Token, *, slot: int) -> int:
        """An amount at reference prices in another token's base units, rounded up: for costs."""
        return ceil_div(
            amount_base * self.price_pico_usd(token_in, slot) * 10**token_out.decimals,
            self.price_pico_usd(token_out, slot) * 10**token_in.decimals,
        )

    def _price_pico_usd(self, symbol: str, slot: int) -> int:
        reference = REFERENCES[symbol]
        noise_ppm = self._noise_ppm(f"price:{symbol}", slot, PRICE_OCTAVES)
        price_pico = (
            reference.price_pico * (PPM + noise_ppm * reference.volatility_pct // 100) // PPM
        )
        if reference.follows is None:
            return price_pico
        return price_pico * self._cached_price(reference.follows, slot) // PICO_USD

    def _reserves(
        self, pool: str, token_0: Token, token_1: Token, share_pct: int, slot: int
    ) -> Reserves:
        depth_pico = PICO_USD * share_pct // 100
        depth_pico *= min(REFERENCES[t.symbol].depth_usd for t in (token_0, token_1))
        k = 1
        for token in (token_0, token_1):
            k *= depth_pico * 10**token.decimals // self._base_price_pico_usd(token)
        price_numerator = (
            self.price_pico_usd(token_0, slot)
            * 10**token_1.decimals
            * (PPM + self.drift_ppm(pool, slot))
        )
        price_denominator = self.price_pico_usd(token_1, slot) * 10**token_0.decimals * PPM
        return Reserves(
            token_0_base=isqrt(k * price_denominator // price_numerator),
            token_1_base=isqrt(k * price_numerator // price_denominator),
        )

    @staticmethod
    def _base_price_pico_usd(token: Token) -> int:
        reference = REFERENCES[token.symbol]
        if reference.follows is None:
            return reference.price_pico
        return reference.price_pico * REFERENCES[reference.follows].price_pico // PICO_USD

    def _noise_ppm(self, label: str, slot: int, octaves: tuple[Octave, ...]) -> int:
        return sum(self._octave_ppm(label, slot, octave) for octave in octaves)

    def _octave_ppm(self, label: str, slot: int, octave: Octave) -> int:
        """Value noise with Perlin's smoothstep, t*t*(3 - 2t), so that no price has a corner."""
        period = octave.period
        # A phase of its own, or every price would stand still at the same slots.
        phase = self._cached_target(label, period, -1)
        index, t = divmod(slot + phase, period)
        start, end = (
            self._cached_target(label, period, index),
            self._cached_target(label, period, index + 1),
        )
        weight_ppm = PPM * t * t * (3 * period - 2 * t) // period**3
        return octave.amplitude_ppm * (start * PPM + (end - start) * weight_ppm) // PPM**2

    def _target(self, label: str, period: int, index: int) -> int:
        """A lattice point: uniform in -10**6 .. 10**6."""
        key = f"{self._seed}:{label}:{period}:{index}".encode()
        digest = blake2b(key, digest_size=8).digest()
        return int.from_bytes(digest, "little") % (2 * PPM + 1) - PPM
