"""The tokens that can be traded, and the only two ways between whole tokens and base units.

On-chain amounts are `int` base units (lamports for SOL). Whole tokens exist at the edges only: a
`Decimal` on the way in, an exact decimal string on the way out. Nothing here ever rounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Token:
    """An SPL token. `mint` is its base58 address, `decimals` how many digits a whole token has."""

    symbol: str
    mint: str
    decimals: int
    name: str


SOL: Final = Token("SOL", "So11111111111111111111111111111111111111112", 9, "Solana")
USDC: Final = Token("USDC", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", 6, "USD Coin")

_LISTED: Final = (
    SOL,
    USDC,
    Token("USDT", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", 6, "Tether USD"),
    Token("JUP", "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", 6, "Jupiter"),
    Token("RAY", "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R", 6, "Raydium"),
    Token("BONK", "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", 5, "Bonk"),
    Token("mSOL", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So", 9, "Marinade Staked SOL"),
    Token("JTO", "jtojtomepa8beP8AuQc6eXt5FriJwfFMwQx2v2f9mCL", 9, "Jito"),
    Token("WIF", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm", 6, "dogwifhat"),
    Token("PYTH", "HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3", 6, "Pyth Network"),
)

TOKENS: Final[Mapping[str, Token]] = MappingProxyType({token.symbol: token for token in _LISTED})
TOKENS_BY_MINT: Final[Mapping[str, Token]] = MappingProxyType({t.mint: t for t in _LISTED})

# Far beyond any supply; keeps "1e999999" from becoming an integer of a million digits.
_MAX_WHOLE_DIGITS: Final = 40


def to_base(amount: Decimal, token: Token) -> int:
    """Whole tokens as base units, exactly: `to_base(Decimal("1.5"), SOL) == 1_500_000_000`.

    Raises `ValueError` for an amount that is negative, not finite, absurdly large, or finer than one
    base unit. Zeros beyond the token's decimals are harmless: the value counts, not its spelling.
    """
    if not amount.is_finite():
        raise ValueError("the amount is not a finite number")
    if amount.is_zero():
        return 0
    if amount < 0:
        raise ValueError("the amount is negative")
    if amount.adjusted() > _MAX_WHOLE_DIGITS:
        raise ValueError("the amount is too large")
    too_fine = f"{token.symbol} has {token.decimals} decimals; the amount has more"
    if amount.adjusted() < -token.decimals:
        raise ValueError(too_fine)
    _sign, digits, exponent = amount.as_tuple()
    coefficient = int("".join(map(str, digits)))
    shift = int(exponent) + token.decimals
    if shift >= 0:
        return int(coefficient * 10**shift)
    amount_base, remainder = divmod(coefficient, 10**-shift)
    if remainder:
        raise ValueError(too_fine)
    return int(amount_base)


def from_base(amount_base: int, token: Token) -> str:
    """Base units as an exact decimal string in whole tokens: "1.5", "3", "0.000000001".

    No exponent, no trailing zeros. `to_base(Decimal(from_base(n, t)), t) == n` for every n >= 0.
    """
    sign = "-" if amount_base < 0 else ""
    whole, fraction = divmod(abs(amount_base), 10**token.decimals)
    decimals = f"{fraction:0{token.decimals}d}".rstrip("0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
