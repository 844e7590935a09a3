"""Raydium's constant-product pools (CPMM).

The instruction is `swap_base_input` of raydium-io/raydium-cp-swap: the Anchor discriminator, then
`amount_in` and `minimum_amount_out` as little-endian u64, on the accounts of `Swap`.
"""

import struct
from hashlib import sha256
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.errors import Rejected
from routing.market import Market
from routing.pools import ConstantProductPools
from routing.spl import TOKEN_PROGRAM_ID, derived_address, token_account
from routing.tokens import TOKENS_BY_MINT
from routing.venue import Quote, SlotFeed, Swap, SwapTerms

PROGRAM_ID: Final = Pubkey.from_string("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C")
# The lowest fee tier, 0.25 %.
FEE_PPM: Final = 2_500

_DISCRIMINATOR: Final = sha256(b"global:swap_base_input").digest()[:8]
_ARGUMENTS: Final = struct.Struct("<8sQQ")
_ACCOUNTS: Final = 13
_POOL, _MINT_IN, _MINT_OUT = 3, 10, 11


class Raydium:
    """Quotes and instructions of Raydium CPMM."""

    name: Final = "raydium"
    label: Final = "Raydium"
    program_id: Final = PROGRAM_ID

    def __init__(self, market: Market, feed: SlotFeed) -> None:
        self._feed = feed
        self._pools = ConstantProductPools(
            venue=self.name, program_id=PROGRAM_ID, market=market, fee_ppm=FEE_PPM, share_pct=60
        )

    async def quote(self, swap: Swap) -> Quote:
        """See `Venue.quote`."""
        slot = await self._feed.current_slot(venue=self.name, swap=swap)
        return self._pools.quote(swap, slot=slot)

    def instruction(
        self, *, pool: str, swap: Swap, min_amount_out_base: int, owner: Pubkey
    ) -> Instruction:
        """See `Venue.instruction`."""
        self._pools.checked(SwapTerms(pool, swap, min_amount_out_base))
        address = Pubkey.from_string(pool)
        mint_in = Pubkey.from_string(swap.token_in.mint)
        mint_out = Pubkey.from_string(swap.token_out.mint)
        accounts = [
            AccountMeta(owner, is_signer=True, is_writable=True),
            _readonly(derived_address(PROGRAM_ID, b"vault_and_lp_mint_auth_seed")),
            _readonly(derived_address(PROGRAM_ID, b"amm_config", bytes(2))),
            _writable(address),
            _writable(token_account(owner, mint_in)),
            _writable(token_account(owner, mint_out)),
            _writable(derived_address(PROGRAM_ID, b"pool_vault", bytes(address), bytes(mint_in))),
            _writable(derived_address(PROGRAM_ID, b"pool_vault", bytes(address), bytes(mint_out))),
            _readonly(TOKEN_PROGRAM_ID),
            _readonly(TOKEN_PROGRAM_ID),
            _readonly(mint_in),
            _readonly(mint_out),
            _writable(derived_address(PROGRAM_ID, b"observation", bytes(address))),
        ]
        arguments = _ARGUMENTS.pack(_DISCRIMINATOR, swap.amount_in_base, min_amount_out_base)
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

    def pay_out(self, terms: SwapTerms, *, slot: int) -> int:
        """See `Program.pay_out`."""
        return self._pools.pay_out(terms, slot=slot)


def _readonly(address: Pubkey) -> AccountMeta:
    return AccountMeta(address, is_signer=False, is_writable=False)


def _writable(address: Pubkey) -> AccountMeta:
    return AccountMeta(address, is_signer=False, is_writable=True)


def _malformed() -> Rejected:
    return Rejected(
        "MALFORMED_INSTRUCTION", "this is not a swap_base_input of Raydium's CPMM program"
    )
