"""Meteora's pools of bins (DLMM).

The instruction is `swap` of MeteoraAg/dlmm-sdk: the Anchor discriminator, then `amount_in` and `min_amount_out` as
little-endian u64, on the accounts of `Swap`. The bin arrays that it would cross are left out: only the simulated chain
has these pools.
"""

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.dlmm import DlmmPool
from routing.errors import Rejected
from routing.market import Market
from routing.pool import Pool
from routing.simulated_pools import DlmmListing, SimulatedPools
from routing.spl import TOKEN_PROGRAM_ID, derived_address, readonly, token_account, writable
from routing.venue import AccountFeed, Pair, Swap, SwapTerms

PROGRAM_ID: Final = Pubkey.from_string("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo")
# Of each pair: a deep pool of narrow bins, and a shallow one of wide bins.
LISTINGS: Final = (DlmmListing(bin_step=20, share_pct=4), DlmmListing(bin_step=100, share_pct=1))

_DISCRIMINATOR: Final = sha256(b"global:swap").digest()[:8]
_ARGUMENTS: Final = struct.Struct("<8sQQ")
_ACCOUNTS: Final = 15
_POOL, _USER_TOKEN_IN, _USER_TOKEN_OUT, _OWNER = 0, 4, 5, 10


class Meteora:
    """Pools and instructions of Meteora DLMM."""

    name: Final = "meteora"
    label: Final = "Meteora"
    program_id: Final = PROGRAM_ID

    def __init__(self, market: Market, feed: AccountFeed, *, slot_ms: int) -> None:
        self._feed = feed
        self._pools = SimulatedPools(
            venue=self.name,
            program_id=PROGRAM_ID,
            market=market,
            listings=LISTINGS,
            slot_ms=slot_ms,
        )

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        """See `Venue.pools`."""
        return self._pools.states(pairs, await self._feed.read(venue=self.name, pairs=pairs))

    def restore(self, stored: dict[str, Any]) -> Pool:
        """See `Venue.restore`."""
        return DlmmPool.from_json(stored)

    def state(self, address: str, *, slot: int, moved_x_base: int) -> Pool:
        """See `Program.state`."""
        return self._pools.state(address, slot=slot, moved_x_base=moved_x_base)

    def instruction(self, terms: SwapTerms, *, owner: Pubkey) -> Instruction:
        """See `Venue.instruction`."""
        pool = self._pools.checked(terms)
        address = Pubkey.from_string(terms.pool)
        mint_x, mint_y = (Pubkey.from_string(token.mint) for token in (pool.token_x, pool.token_y))
        mint_in, mint_out = (
            Pubkey.from_string(token.mint) for token in (terms.swap.token_in, terms.swap.token_out)
        )
        absent = readonly(PROGRAM_ID)  # Anchor's way to leave an optional account out
        accounts = [
            writable(address),
            absent,
            writable(derived_address(PROGRAM_ID, bytes(address), bytes(mint_x))),
            writable(derived_address(PROGRAM_ID, bytes(address), bytes(mint_y))),
            writable(token_account(owner, mint_in)),
            writable(token_account(owner, mint_out)),
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
        arguments = _ARGUMENTS.pack(
            _DISCRIMINATOR, terms.swap.amount_in_base, terms.min_amount_out_base
        )
        return Instruction(PROGRAM_ID, arguments, accounts)

    def decode(self, instruction: Instruction) -> SwapTerms:
        """See `Program.decode`."""
        try:
            discriminator, amount_in_base, minimum_base = _ARGUMENTS.unpack(instruction.data)
        except struct.error:
            raise _malformed() from None
        accounts = [account.pubkey for account in instruction.accounts]
        if discriminator != _DISCRIMINATOR or len(accounts) != _ACCOUNTS:
            raise _malformed()
        pool = self._pools.at(str(accounts[_POOL]))
        for token_in, token_out in ((pool.token_x, pool.token_y), (pool.token_y, pool.token_x)):
            payer = token_account(accounts[_OWNER], Pubkey.from_string(token_in.mint))
            payee = token_account(accounts[_OWNER], Pubkey.from_string(token_out.mint))
            if (payer, payee) == (accounts[_USER_TOKEN_IN], accounts[_USER_TOKEN_OUT]):
                swap = Swap(token_in, token_out, amount_in_base)
                return SwapTerms(pool.address, swap, minimum_base)
        raise _malformed()


def _malformed() -> Rejected:
    return Rejected("MALFORMED_INSTRUCTION", "this is not a swap of Meteora's DLMM program")
