"""The pools of one simulated venue: where they live, and what state each is in at a slot.

A state is the anchor, which follows from seed and slot alone, moved by what recent swaps left in the pool. What it
refuses: to know a swap, a program's instructions, or another venue.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import isqrt, prod

from solders.pubkey import Pubkey

from routing.cpmm import CpmmPool
from routing.dlmm import DlmmPool
from routing.dlmm_presets import PRESETS
from routing.errors import Rejected
from routing.market import Market, depth_base
from routing.pool import MAX_U64, PRICE_ONE, Pool
from routing.simulated_bins import SimulatedBins
from routing.spl import derived_address
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import Pair, Reading, SwapTerms


@dataclass(frozen=True, slots=True)
class CpmmListing:
    """A constant-product pool for every pair. `config_index` names the program's config that sets its fee."""

    fee_ppm: int
    share_pct: int
    config_index: int


@dataclass(frozen=True, slots=True)
class DlmmListing:
    """A DLMM pool for every pair, of a bin step that `PRESETS` has."""

    bin_step: int
    share_pct: int


Listing = CpmmListing | DlmmListing
"""`share_pct` is a pool's part of the pair's depth, of each token."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A pool of a pair. Token X has the lower mint, in bytes, as Raydium's program demands."""

    address: str
    token_x: Token
    token_y: Token
    listing: Listing


class SimulatedPools:
    """SOL against every other token, and USDC against every other, with a pool for each listing."""

    def __init__(
        self,
        *,
        venue: str,
        program_id: Pubkey,
        market: Market,
        listings: Sequence[Listing],
        slot_ms: int,
    ) -> None:
        self._venue = venue
        self._market = market
        self._slot_ms = slot_ms
        self._by_address: dict[str, Listed] = {}
        self._by_pair: dict[frozenset[Token], tuple[Listed, ...]] = {}
        for pair in _listed_pairs():
            pools = tuple(_listed(program_id, *pair, listing) for listing in listings)
            self._by_pair[frozenset(pair)] = pools
            self._by_address |= {pool.address: pool for pool in pools}
        # Bounded: a slot's states are asked for while it is new, by many. One with bins takes 6 kB.
        self._cached_state = lru_cache(maxsize=1_024)(self._state)

    def for_pair(self, a: Token, b: Token) -> tuple[Listed, ...]:
        """The pair's pools, in the order of the listings, whichever token comes first. Empty if there are none."""
        return self._by_pair.get(frozenset((a, b)), ())

    def at(self, address: str) -> Listed:
        """The pool at an address. Raises `Rejected` (`NO_POOL`)."""
        pool = self._by_address.get(address)
        if pool is None:
            raise Rejected("NO_POOL", f"{self._venue} has no pool at {address}")
        return pool

    def checked(self, terms: SwapTerms) -> Listed:
        """The pool that executes these terms. Raises `Rejected` (`NO_POOL`, `AMOUNT_TOO_LARGE`)."""
        pool, swap = self.at(terms.pool), terms.swap
        if pool not in self.for_pair(swap.token_in, swap.token_out):
            pair = f"{swap.token_in.symbol}/{swap.token_out.symbol}"
            raise Rejected("NO_POOL", f"{terms.pool} is no pool of {self._venue} for {pair}")
        if max(swap.amount_in_base, terms.min_amount_out_base) > MAX_U64:
            raise Rejected(
                "AMOUNT_TOO_LARGE", "the amount does not fit the 64 bits of an instruction"
            )
        return pool

    def states(self, pairs: Sequence[Pair], reading: Reading) -> tuple[Pool, ...]:
        """All pools of these pairs, as they were read."""
        displaced_x_base = reading.displaced_x_base
        return tuple(
            self.state(
                pool.address,
                slot=reading.slot,
                moved_x_base=displaced_x_base.get(pool.address, 0),
            )
            for pair in pairs
            for pool in self.for_pair(*pair)
        )

    def state(self, address: str, *, slot: int, moved_x_base: int = 0) -> CpmmPool | DlmmPool:
        """A pool at `slot`, once swaps moved a net `moved_x_base` of X in (negative: out).

        Raises `Rejected` (`NO_POOL`).
        """
        return self._cached_state(address, slot, moved_x_base)

    def _state(self, address: str, slot: int, moved_x_base: int) -> CpmmPool | DlmmPool:
        if moved_x_base:
            return self._cached_state(address, slot, 0).pushed(moved_x_base)
        pool = self.at(address)
        if isinstance(pool.listing, CpmmListing):
            return self._constant_product(pool, pool.listing, slot)
        return self._bins(pool, pool.listing, slot)

    def _constant_product(self, pool: Listed, listing: CpmmListing, slot: int) -> CpmmPool:
        """k is the depth at base prices, and stays; at a price p of X, the reserves are sqrt(k / p) and sqrt(k * p)."""
        k = prod(depth_base(pool.token_x, pool.token_y, share_pct=listing.share_pct))
        price = self._market.pool_price(
            pool=pool.address, token_x=pool.token_x, token_y=pool.token_y, slot=slot
        )
        return CpmmPool(
            venue=self._venue,
            address=pool.address,
            token_x=pool.token_x,
            token_y=pool.token_y,
            slot=slot,
            reserve_x_base=isqrt(k * PRICE_ONE // price),
            reserve_y_base=isqrt(k * price // PRICE_ONE),
            fee_ppm=listing.fee_ppm,
        )

    def _bins(self, pool: Listed, listing: DlmmListing, slot: int) -> DlmmPool:
        bins = SimulatedBins(
            market=self._market,
            venue=self._venue,
            address=pool.address,
            token_x=pool.token_x,
            token_y=pool.token_y,
            bin_step=listing.bin_step,
            share_pct=listing.share_pct,
            slot_ms=self._slot_ms,
        )
        return bins.at(slot)


def _listed_pairs() -> Iterator[tuple[Token, Token]]:
    for pair in combinations(sorted(TOKENS.values(), key=_mint), 2):
        if SOL in pair or USDC in pair:
            yield pair


def _listed(program_id: Pubkey, token_x: Token, token_y: Token, listing: Listing) -> Listed:
    """A pool lives at the address its program derives from mints and listing, so it is the same everywhere.

    Seeds as in raydium-io/raydium-cp-swap (`instructions/initialize.rs`, `create_config.rs`) and MeteoraAg/dlmm-sdk
    (`commons/src/pda.rs`).
    """
    mint_x, mint_y = _mint(token_x), _mint(token_y)
    if isinstance(listing, CpmmListing):
        index = listing.config_index.to_bytes(2, "big")
        seeds = (b"pool", bytes(derived_address(program_id, b"amm_config", index)), mint_x, mint_y)
    else:
        base_factor = PRESETS[listing.bin_step].base_factor
        seeds = (
            mint_x,
            mint_y,
            listing.bin_step.to_bytes(2, "little"),
            base_factor.to_bytes(2, "little"),
        )
    return Listed(str(derived_address(program_id, *seeds)), token_x, token_y, listing)


def _mint(token: Token) -> bytes:
    return bytes(Pubkey.from_string(token.mint))
