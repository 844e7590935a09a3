"""Addresses of the SPL programs, and of what they derive: shared by venues and transactions."""

from functools import lru_cache
from typing import Final

from solders.instruction import AccountMeta
from solders.pubkey import Pubkey

from routing.tokens import Token

TOKEN_PROGRAM_ID: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
MEMO_PROGRAM_ID: Final = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
ASSOCIATED_TOKEN_PROGRAM_ID: Final = Pubkey.from_string(
    "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
)


@lru_cache(maxsize=4_096)
def derived_address(program_id: Pubkey, *seeds: bytes) -> Pubkey:
    """The program's address for these seeds. Cached: finding one takes many hashes."""
    address, _bump = Pubkey.find_program_address(list(seeds), program_id)
    return address


def mint_of(token: Token) -> Pubkey:
    """The token's mint."""
    return Pubkey.from_string(token.mint)


def token_account(owner: Pubkey, token: Token) -> Pubkey:
    """The owner's associated token account for a token."""
    return derived_address(
        ASSOCIATED_TOKEN_PROGRAM_ID, bytes(owner), bytes(TOKEN_PROGRAM_ID), bytes(mint_of(token))
    )


def readonly(address: Pubkey) -> AccountMeta:
    """An account that an instruction reads."""
    return AccountMeta(address, is_signer=False, is_writable=False)


def writable(address: Pubkey) -> AccountMeta:
    """An account that an instruction changes."""
    return AccountMeta(address, is_signer=False, is_writable=True)
