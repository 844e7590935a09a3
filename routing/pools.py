"""One venue's constant-product pools: their addresses, their state at a slot, what they pay.

What a venue file adds is its program, its fee, its part of the depth and the bytes of its instruction.
A venue with other maths (bins, ticks) keeps its own state and leaves this module alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from solders.pubkey import Pubkey

from routing import amm
from routing.errors import Rejected
from routing.market import Market
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import MAX_U64, Quote, Swap, SwapTerms

# One signature; a swap by this engine has no other signer (docs: solana.com/docs/core/fees).
NETWORK_FEE_LAMPORTS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of a pair. Token 0 has the lower mint address, as in Raydium's programs."""

    address: str
    token_0: Token
    token_1: Token


class ConstantProductPools:
    """SOL against every other token, and USDC against every other, at one venue."""

    def __init__(
        self, *, venue: str, program_id: Pubkey, market: Market, fee_ppm: int, share_pct: int
    ) -> None:
        self._venue = venue
        self._market = market
        self._fee_ppm = fee_ppm
        self._share_pct = share_pct
        pools = [_pool(program_id, *pair) for pair in _listed_pairs()]
        self._by_address = {pool.address: pool for pool in pools}
        self._by_pair = {frozenset((p.token_0.mint, p.token_1.mint)): p for p in pools}

    def for_swap(self, swap: Swap) -> Pool:
        """The pool of the pair. Raises `Rejected` (`NO_POOL`)."""
        pool = self._by_pair.get(frozenset((swap.token_in.mint, swap.token_out.mint)))
        if pool is None:
            pair = f"{swap.token_in.symbol}/{swap.token_out.symbol}"
            raise Rejected("NO_POOL", f"{self._venue} has no pool for {pair}")
        return pool

    def at(self, address: str) -> Pool:
        """The pool at an address. Raises `Rejected` (`NO_POOL`)."""
        pool = self._by_address.get(address)
        if pool is None:
            raise Rejected("NO_POOL", f"{self._venue} has no pool at {address}")
        return pool

    def checked(self, terms: SwapTerms) -> Pool:
        """The pool that can execute these terms. Raises `Rejected` (`NO_POOL`, `AMOUNT_TOO_LARGE`)."""
        pool = self.for_swap(terms.swap)
        if pool.address != terms.pool:
            raise Rejected(
                "NO_POOL", f"{terms.pool} is not the pool of {self._venue} for this pair"
            )
        if max(terms.swap.amount_in_base, terms.min_amount_out_base) > MAX_U64:
            raise Rejected(
                "AMOUNT_TOO_LARGE", "the amount does not fit the 64 bits of an instruction"
            )
        return pool

    def quote(self, swap: Swap, *, slot: int) -> Quote:
        """What the pair's pool would pay at `slot`.

        Raises `Rejected` (`NO_POOL`, `AMOUNT_TOO_SMALL`, `AMOUNT_TOO_LARGE`).
        """
        pool = self.for_swap(swap)
        if swap.amount_in_base > MAX_U64:
            raise Rejected(
                "AMOUNT_TOO_LARGE", "the amount does not fit the 64 bits of an instruction"
            )
        reserve_in_base, reserve_out_base = self._reserves(pool, swap, slot)
        fill = amm.swap_exact_in(
            reserve_in_base=reserve_in_base,
            reserve_out_base=reserve_out_base,
            amount_in_base=swap.amount_in_base,
            fee_ppm=self._fee_ppm,
        )
        if fill.amount_out_base == 0:
            raise Rejected("AMOUNT_TOO_SMALL", f"{self._venue} pays nothing for so small an amount")
        return Quote(
            venue=self._venue,
            pool=pool.address,
            amount_in_base=swap.amount_in_base,
            amount_out_base=fill.amount_out_base,
            fee_base=fill.fee_base,
            network_fee_base=self._market.convert(
                NETWORK_FEE_LAMPORTS, SOL, swap.token_out, slot=slot
            ),
            price_impact_bps=fill.price_impact_bps,
            depth_base=reserve_out_base,
            slot=slot,
        )

    def pay_out(self, terms: SwapTerms, *, slot: int) -> int:
        """What the pool pays at `slot`, in base units of token out. Raises `Rejected` (`NO_POOL`)."""
        reserve_in_base, reserve_out_base = self._reserves(self.checked(terms), terms.swap, slot)
        return amm.swap_exact_in(
            reserve_in_base=reserve_in_base,
            reserve_out_base=reserve_out_base,
            amount_in_base=terms.swap.amount_in_base,
            fee_ppm=self._fee_ppm,
        ).amount_out_base

    def _reserves(self, pool: Pool, swap: Swap, slot: int) -> tuple[int, int]:
        """The pool's reserves at `slot` as (of token in, of token out), in base units."""
        reserves = self._market.reserves(
            pool=pool.address,
            token_0=pool.token_0,
            token_1=pool.token_1,
            share_pct=self._share_pct,
            slot=slot,
        )
        if swap.token_in.mint == pool.token_0.mint:
            return reserves.token_0_base, reserves.token_1_base
        return reserves.token_1_base, reserves.token_0_base


def _listed_pairs() -> Iterator[tuple[Token, Token]]:
    for pair in combinations(sorted(TOKENS.values(), key=lambda token: token.mint), 2):
        if SOL in pair or USDC in pair:
            yield pair


def _pool(program_id: Pubkey, token_0: Token, token_1: Token) -> Pool:
    """A pool lives at the address its program derives from the mints, so it is the same everywhere."""
    seeds = [b"pool", bytes(_pubkey(token_0)), bytes(_pubkey(token_1))]
    address, _bump = Pubkey.find_program_address(seeds, program_id)
    return Pool(str(address), token_0, token_1)


def _pubkey(token: Token) -> Pubkey:
    return Pubkey.from_string(token.mint)
