"""Meteora's pools of bins (DLMM).

The instruction is `swap` of MeteoraAg/dlmm-sdk: the Anchor discriminator, then `amount_in` and `min_amount_out` as
little-endian u64, on the accounts of `Swap`. The bin arrays that it would cross are left out: only the simulated chain
has these pools.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.dlmm import DlmmPool
from routing.market import Market
from routing.pool import Pool
from routing.simulated_bins import DlmmListing
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

PROGRAM_ID: Final = Pubkey.from_string("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo")
# Of each pair: a deep pool of narrow bins, and a shallow one of wide bins.
LISTINGS: Final = (DlmmListing(bin_step=20, share_pct=4), DlmmListing(bin_step=100, share_pct=1))

_DISCRIMINATOR: Final = sha256(b"global:swap").digest()[:8]


class Meteora:
    """Pools and instructions of Meteora DLMM."""

    name: Final = "meteora"
    label: Final = "Meteora"
    program_id: Final = PROGRAM_ID

    def __init__(self, market: Market, feed: AccountFeed, *, slot_ms: int) -> None:
        self._pools = SimulatedPools(self, LISTINGS, market=market, feed=feed, slot_ms=slot_ms)

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        """See `Venue.pools`."""
        return await self._pools.now(pairs)

    def restore(self, stored: dict[str, Any]) -> Pool:
        """See `Venue.restore`."""
        return DlmmPool.from_json(stored)

    def instruction(self, terms: SwapTerms, *, owner: Pubkey) -> Instruction:
        """See `Venue.instruction`."""
        pool, swap = self._pools.checked(terms), terms.swap
        address = Pubkey.from_string(pool.address)
        mint_x, mint_y = mint_of(pool.token_x), mint_of(pool.token_y)
        absent = readonly(PROGRAM_ID)  # Anchor's way to leave an optional account out
        accounts = [
            writable(address),
            absent,
            writable(derived_address(PROGRAM_ID, bytes(address), bytes(mint_x))),
            writable(derived_address(PROGRAM_ID, bytes(address), bytes(mint_y))),
            writable(token_account(owner, swap.token_in)),
            writable(token_account(owner, swap.token_out)),
            readonly(mint_x),
            readonly(mint_y),
            writable(derived_address(PROGRAM_ID, b"oracle", bytes(address))),
            absent,
            AccountMeta(owner, is_signer=True, is_writable=True),
            readonly(TOKEN_PROGRAM_ID),
            readonly(TOKEN_PROGRAM_ID),
            readonly(derived_address(PROGRAM_ID, b"__event_authority")),
            readonly(PROGRAM_ID),
        ]
        return Instruction(PROGRAM_ID, _DISCRIMINATOR + terms.amounts(), accounts)

    def decode(self, instruction: Instruction) -> SwapTerms:
        """See `Program.decode`."""
        return self._pools.read_back(instruction)

    def state(self, address: str, *, slot: int, moved_x_base: int) -> Pool:
        """See `Program.state`."""
        return self._pools.state(address, slot=slot, moved_x_base=moved_x_base)
