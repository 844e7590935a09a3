"""Raydium's constant-product pools (CPMM).

The instruction is `swap_base_input` of raydium-io/raydium-cp-swap: the Anchor discriminator, then
`amount_in` and `minimum_amount_out` as little-endian u64, on the accounts of `Swap`.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.cpmm import FEE_TIERS_PPM, CpmmPool
from routing.market import Market
from routing.pool import Pool
from routing.simulated_cpmm import CpmmListing
from routing.simulated_pools import SimulatedPools
from routing.spl import (
    TOKEN_PROGRAM_ID,
    derived_address,
    mint_of,
    readonly,
    token_account,
    writable,
)
from routing.venue import AccountFeed, Pair, SwapTerms

PROGRAM_ID: Final = Pubkey.from_string("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C")
# Of each pair: a deep pool of the lowest fee tier, and a shallow one of the next.
LISTINGS: Final = (
    CpmmListing(fee_ppm=FEE_TIERS_PPM[0], share_pct=80, config_index=0),
    CpmmListing(fee_ppm=FEE_TIERS_PPM[1], share_pct=15, config_index=1),
)

_DISCRIMINATOR: Final = sha256(b"global:swap_base_input").digest()[:8]


class Raydium:
    """Pools and instructions of Raydium CPMM."""

    name: Final = "raydium"
    label: Final = "Raydium"
    program_id: Final = PROGRAM_ID

    def __init__(self, market: Market, feed: AccountFeed, *, slot_ms: int) -> None:
        self._pools = SimulatedPools(self, LISTINGS, market=market, feed=feed, slot_ms=slot_ms)

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        """See `Venue.pools`."""
        return await self._pools.now(pairs)

    def restore(self, stored: dict[str, Any]) -> Pool:
        """See `Venue.restore`."""
        return CpmmPool.from_json(stored)

    def instruction(self, terms: SwapTerms, *, owner: Pubkey) -> Instruction:
        """See `Venue.instruction`."""
        swap, listing = terms.swap, self._pools.checked(terms).listing
        assert isinstance(listing, CpmmListing)  # there are no others
        address = Pubkey.from_string(terms.pool)
        mint_in, mint_out = mint_of(swap.token_in), mint_of(swap.token_out)
        accounts = [
            AccountMeta(owner, is_signer=True, is_writable=True),
            readonly(derived_address(PROGRAM_ID, b"vault_and_lp_mint_auth_seed")),
            readonly(listing.config(PROGRAM_ID)),
            writable(address),
            writable(token_account(owner, swap.token_in)),
            writable(token_account(owner, swap.token_out)),
            writable(derived_address(PROGRAM_ID, b"pool_vault", bytes(address), bytes(mint_in))),
            writable(derived_address(PROGRAM_ID, b"pool_vault", bytes(address), bytes(mint_out))),
            readonly(TOKEN_PROGRAM_ID),
            readonly(TOKEN_PROGRAM_ID),
            readonly(mint_in),
            readonly(mint_out),
            writable(derived_address(PROGRAM_ID, b"observation", bytes(address))),
        ]
        return Instruction(PROGRAM_ID, _DISCRIMINATOR + terms.amounts(), accounts)

    def decode(self, instruction: Instruction) -> SwapTerms:
        """See `Program.decode`."""
        return self._pools.read_back(instruction)

    def state(self, address: str, *, slot: int, moved_x_base: int) -> Pool:
        """See `Program.state`."""
        return self._pools.state(address, slot=slot, moved_x_base=moved_x_base)
