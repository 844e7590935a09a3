from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from routing.tokens import TOKENS, TOKENS_BY_MINT, Token, from_base, to_base

tokens = st.sampled_from(list(TOKENS.values()))


@given(tokens, st.integers(0, 2**64))
def test_base_units_survive_the_trip_through_a_decimal_string(token: Token, amount: int) -> None:
    text = from_base(amount, token)

    assert to_base(Decimal(text), token) == amount
    assert "E" not in text.upper()
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("amount", "symbol", "base"),
    [
        ("1.5", "SOL", 1_500_000_000),
        ("3", "USDC", 3_000_000),
        ("0.000000001", "SOL", 1),
        ("1E+3", "BONK", 100_000_000),
        ("1.0000000000", "SOL", 1_000_000_000),
        ("0", "SOL", 0),
        ("0E-999999", "SOL", 0),
    ],
)
def test_whole_tokens_become_base_units(amount: str, symbol: str, base: int) -> None:
    assert to_base(Decimal(amount), TOKENS[symbol]) == base


@pytest.mark.parametrize(
    ("amount", "complaint"),
    [
        ("1.0000000001", "9 decimals"),
        ("1E-999999", "9 decimals"),
        ("-1", "negative"),
        ("NaN", "finite"),
        ("sNaN", "finite"),
        ("Infinity", "finite"),
        ("1E+999999", "too large"),
    ],
)
def test_an_amount_that_is_no_number_of_base_units_is_refused(amount: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        to_base(Decimal(amount), TOKENS["SOL"])


def test_base_units_become_the_shortest_exact_string() -> None:
    texts = [from_base(amount, TOKENS["SOL"]) for amount in (0, 1, 1_500_000_000, 3 * 10**9, -5)]

    assert texts == ["0", "0.000000001", "1.5", "3", "-0.000000005"]


def test_every_mint_is_an_address_and_leads_back_to_its_token() -> None:
    assert len(TOKENS) == 10
    for symbol, token in TOKENS.items():
        assert token.symbol == symbol
        assert str(Pubkey.from_string(token.mint)) == token.mint
        assert TOKENS_BY_MINT[token.mint] is token
