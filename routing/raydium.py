"""Raydium's constant-product pools (CPMM).

The instruction is `swap_base_input` of raydium-io/raydium-cp-swap: the Anchor discriminator, then
`amount_in` and `minimum_amount_out` as little-endian u64, on the accounts of `Swap`.
"""

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.cpmm import FEE_TIERS_PPM, CpmmPool
from routing.errors import Rejected
from routing.market import Market
from routing.pool import Pool
from routing.simulated_pools import CpmmListing, SimulatedPools
from routing.spl import TOKEN_PROGRAM_ID, derived_address, readonly, token_account, writable
from routing.tokens import TOKENS_BY_MINT
from routing.venue import AccountFeed, Pair, Swap, SwapTerms

PROGRAM_ID: Final = Pubkey.from_string("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C")
# Of each pair: a deep pool of the lowest fee tier, and a shallow one of the next.
LISTINGS: Final = (
    CpmmListing(fee_ppm=FEE_TIERS_PPM[0], share_pct=80, config_index=0),
    CpmmListing(fee_ppm=FEE_TIERS_PPM[1], share_pct=15, config_index=1),
)

_DISCRIMINATOR: Final = sha256(b"global:swap_base_input").digest()[:8]
_ARGUMENTS: Final = struct.Struct("<8sQQ")
_ACCOUNTS: Final = 13
_POOL, _MINT_IN, _MINT_OUT = 3, 10, 11


class Raydium:
    """Pools and instructions of Raydium CPMM."""

    name: Final = "raydium"
    label: Final = "Raydium"
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
        return CpmmPool.from_json(stored)

    def state(self, address: str, *, slot: int, moved_x_base: int) -> Pool:
        """See `Program.state`."""
        return self._pools.state(address, slot=slot, moved_x_base=moved_x_base)

    def instruction(self, terms: SwapTerms, *, owner: Pubkey) -> Instruction:
        """See `Venue.instruction`."""
        listed = self._pools.checked(terms)
        address = Pubkey.from_string(terms.pool)
        mint_in = Pubkey.from_string(terms.swap.token_in.mint)
        mint_out = Pubkey.from_string(terms.swap.token_out.mint)
        assert isinstance(listed.listing, CpmmListing)  # there are no others
        config = listed.listing.config_index.to_bytes(2, "big")
        accounts = [
            AccountMeta(owner, is_signer=True, is_writable=True),
            readonly(derived_address(PROGRAM_ID, b"vault_and_lp_mint_auth_seed")),
            readonly(derived_address(PROGRAM_ID, b"amm_config", config)),
            writable(address),
            writable(token_account(owner, mint_in)),
            writable(token_account(owner, mint_out)),
            writable(derived_address(PROGRAM_ID, b"pool_vault", bytes(address), bytes(mint_in))),
            writable(derived_address(PROGRAM_ID, b"pool_vault", bytes(address), bytes(mint_out))),
            readonly(TOKEN_PROGRAM_ID),
            readonly(TOKEN_PROGRAM_ID),
            readonly(mint_in),
            readonly(mint_out),
            writable(derived_address(PROGRAM_ID, b"observation", bytes(address))),
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
        accounts = instruction.accounts
        if discriminator != _DISCRIMINATOR or len(accounts) != _ACCOUNTS:
            raise _malformed()
        token_in = TOKENS_BY_MINT.get(str(accounts[_MINT_IN].pubkey))
        token_out = TOKENS_BY_MINT.get(str(accounts[_MINT_OUT].pubkey))
        if token_in is None or token_out is None:
            raise _malformed()
        terms = SwapTerms(
            str(accounts[_POOL].pubkey), Swap(token_in, token_out, amount_in_base), minimum_base
        )
        self._pools.checked(terms)
        return terms


def _malformed() -> Rejected:
    return Rejected(
        "MALFORMED_INSTRUCTION", "this is not a swap_base_input of Raydium's CPMM program"
    )
