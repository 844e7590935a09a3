"""Meteora's dynamic liquidity market maker (DLMM).

The instruction is `swap` of MeteoraAg/dlmm-sdk: the Anchor discriminator, then `amount_in` and
`min_amount_out` as little-endian u64. It names the pool's two mints in the pool's own order; the
direction is told by whose token account pays. Until bins come, its pools are constant-product ones.
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
from routing.venue import Quote, SlotFeed, Swap, SwapTerms

PROGRAM_ID: Final = Pubkey.from_string("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo")
# The base fee of a bin step of 20 with a base factor of 10,000: 0.20 %.
FEE_PPM: Final = 2_000

_DISCRIMINATOR: Final = sha256(b"global:swap").digest()[:8]
_ARGUMENTS: Final = struct.Struct("<8sQQ")
_ACCOUNTS: Final = 15
_POOL, _USER_TOKEN_IN, _USER_TOKEN_OUT, _OWNER = 0, 4, 5, 10


class Meteora:
    """Quotes and instructions of Meteora DLMM."""

    name: Final = "meteora"
    label: Final = "Meteora"
    program_id: Final = PROGRAM_ID

    def __init__(self, market: Market, feed: SlotFeed) -> None:
        self._feed = feed
        self._pools = ConstantProductPools(
            venue=self.name, program_id=PROGRAM_ID, market=market, fee_ppm=FEE_PPM, share_pct=40
        )

    async def quote(self, swap: Swap) -> Quote:
        """See `Venue.quote`."""
        slot = await self._feed.current_slot(venue=self.name, swap=swap)
        return self._pools.quote(swap, slot=slot)

    def instruction(
        self, *, pool: str, swap: Swap, min_amount_out_base: int, owner: Pubkey
    ) -> Instruction:
        """See `Venue.instruction`."""
        pair = self._pools.checked(SwapTerms(pool, swap, min_amount_out_base))
        address = Pubkey.from_string(pool)
        mint_x = Pubkey.from_string(pair.token_0.mint)
        mint_y = Pubkey.from_string(pair.token_1.mint)
        absent = _readonly(PROGRAM_ID)  # Anchor's way to leave an optional account out
        accounts = [
            _writable(address),
            absent,
            _writable(derived_address(PROGRAM_ID, bytes(address), bytes(mint_x))),
            _writable(derived_address(PROGRAM_ID, bytes(address), bytes(mint_y))),
            _writable(token_account(owner, Pubkey.from_string(swap.token_in.mint))),
            _writable(token_account(owner, Pubkey.from_string(swap.token_out.mint))),
            _readonly(mint_x),
            _readonly(mint_y),
            _writable(derived_address(PROGRAM_ID, b"oracle", bytes(address))),
            absent,
            AccountMeta(owner, is_signer=True, is_writable=True),
            _readonly(TOKEN_PROGRAM_ID),
            _readonly(TOKEN_PROGRAM_ID),
            _readonly(derived_address(PROGRAM_ID, b"__event_authority")),
            _readonly(PROGRAM_ID),
        ]
        arguments = _ARGUMENTS.pack(_DISCRIMINATOR, swap.amount_in_base, min_amount_out_base)
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
        pair = self._pools.at(str(accounts[_POOL]))
        for token_in, token_out in ((pair.token_0, pair.token_1), (pair.token_1, pair.token_0)):
            payer = token_account(accounts[_OWNER], Pubkey.from_string(token_in.mint))
            payee = token_account(accounts[_OWNER], Pubkey.from_string(token_out.mint))
            if (payer, payee) == (accounts[_USER_TOKEN_IN], accounts[_USER_TOKEN_OUT]):
                swap = Swap(token_in, token_out, amount_in_base)
                return SwapTerms(pair.address, swap, minimum_base)
        raise _malformed()

    def pay_out(self, terms: SwapTerms, *, slot: int) -> int:
        """See `Program.pay_out`."""
        return self._pools.pay_out(terms, slot=slot)


def _readonly(address: Pubkey) -> AccountMeta:
    return AccountMeta(address, is_signer=False, is_writable=False)


def _writable(address: Pubkey) -> AccountMeta:
    return AccountMeta(address, is_signer=False, is_writable=True)


def _malformed() -> Rejected:
    return Rejected("MALFORMED_INSTRUCTION", "this is not a swap of Meteora's DLMM program")
