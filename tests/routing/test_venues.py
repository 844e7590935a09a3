"""The contract of every venue in the registry: a new one is covered by being registered."""

import asyncio
import struct
from itertools import combinations

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from routing.errors import Rejected
from routing.market import Market
from routing.registry import VENUES, open_venues
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import Program, Quote, Swap, SwapTerms

SLOT = 4_242
DIRECT_PAIRS = [
    (a, b) if turn else (b, a)
    for a, b in combinations(TOKENS.values(), 2)
    if SOL in (a, b) or USDC in (a, b)
    for turn in (True, False)
]


class FixedFeed:
    async def current_slot(self, *, venue: str, swap: Swap) -> int:
        return SLOT


VENUES_BY_NAME = open_venues(Market(seed=3), FixedFeed())


@pytest.fixture(params=VENUES_BY_NAME)
def venue(request: pytest.FixtureRequest) -> Program:
    return VENUES_BY_NAME[request.param]


def quote(venue: Program, swap: Swap) -> Quote:
    return asyncio.run(venue.quote(swap))


def ten_dollars(token: Token) -> int:
    price_pico_usd = Market(seed=3).price_pico_usd(token, SLOT)
    return 10 * 10**12 * 10**token.decimals // price_pico_usd


def test_every_venue_is_registered_under_its_own_name_and_program() -> None:
    assert len(VENUES_BY_NAME) == len(VENUES)
    assert len({venue.program_id for venue in VENUES_BY_NAME.values()}) == len(VENUES)
    assert {"raydium", "meteora"} <= set(VENUES_BY_NAME)


@pytest.mark.parametrize(("token_in", "token_out"), DIRECT_PAIRS)
def test_it_quotes_every_direct_pair_near_the_reference_price(
    venue: Program, token_in: Token, token_out: Token
) -> None:
    quoted = quote(venue, Swap(token_in, token_out, ten_dollars(token_in)))

    fair_base = ten_dollars(token_out)
    assert 0.96 * fair_base < quoted.amount_out_base < 1.04 * fair_base
    assert (quoted.venue, quoted.slot) == (venue.name, SLOT)
    assert 0 < quoted.fee_base < quoted.amount_in_base // 100
    assert 0 < quoted.network_fee_base < fair_base // 100
    assert quoted.net_out_base == quoted.amount_out_base - quoted.network_fee_base
    assert quoted.depth_base > 1_000 * fair_base


def test_a_pool_pays_at_a_slot_what_was_quoted_for_it(venue: Program) -> None:
    swap = Swap(SOL, USDC, 7 * 10**9)
    quoted = quote(venue, swap)

    assert venue.pay_out(SwapTerms(quoted.pool, swap, 0), slot=SLOT) == quoted.amount_out_base


def test_a_larger_swap_gets_a_worse_price(venue: Program) -> None:
    small, large = (quote(venue, Swap(SOL, USDC, n * 10**9)) for n in (1, 10_000))

    assert large.amount_out_base < 10_000 * small.amount_out_base
    assert large.price_impact_bps > 100 > small.price_impact_bps


@pytest.mark.parametrize(
    ("swap", "code"),
    [
        (Swap(TOKENS["JUP"], TOKENS["BONK"], 10**6), "NO_POOL"),
        (Swap(SOL, SOL, 10**9), "NO_POOL"),
        (Swap(SOL, USDC, 0), "AMOUNT_TOO_SMALL"),
        (Swap(SOL, USDC, 1), "AMOUNT_TOO_SMALL"),
        (Swap(SOL, USDC, 2**64), "AMOUNT_TOO_LARGE"),
    ],
)
def test_it_refuses_what_no_pool_can_execute(venue: Program, swap: Swap, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        quote(venue, swap)

    assert refusal.value.code == code
    assert not refusal.value.retryable


@pytest.mark.parametrize(("token_in", "token_out"), DIRECT_PAIRS)
def test_an_instruction_reads_back_as_it_was_written(
    venue: Program, token_in: Token, token_out: Token
) -> None:
    swap = Swap(token_in, token_out, 2**64 - 1)
    pool = quote(venue, Swap(token_in, token_out, ten_dollars(token_in))).pool
    owner = Keypair.from_seed(bytes(32)).pubkey()

    instruction = venue.instruction(
        pool=pool, swap=swap, min_amount_out_base=2**63 + 1, owner=owner
    )

    assert venue.decode(instruction) == SwapTerms(pool, swap, 2**63 + 1)
    assert instruction.program_id == venue.program_id
    assert instruction.data[8:] == struct.pack("<QQ", 2**64 - 1, 2**63 + 1)
    named = {str(account.pubkey) for account in instruction.accounts}
    assert {pool, token_in.mint, token_out.mint} <= named
    assert [a.pubkey for a in instruction.accounts if a.is_signer] == [owner]


def test_an_instruction_is_not_written_for_a_pool_of_another_pair(venue: Program) -> None:
    foreign = quote(venue, Swap(SOL, TOKENS["JUP"], 10**9)).pool

    with pytest.raises(Rejected) as refusal:
        venue.instruction(
            pool=foreign,
            swap=Swap(SOL, USDC, 10**9),
            min_amount_out_base=1,
            owner=Pubkey.default(),
        )

    assert refusal.value.code == "NO_POOL"


@pytest.mark.parametrize("amounts", [(2**64, 1), (1, 2**64)])
def test_an_instruction_is_not_written_beyond_u64(venue: Program, amounts: tuple[int, int]) -> None:
    pool = quote(venue, Swap(SOL, USDC, 10**9)).pool

    with pytest.raises(Rejected) as refusal:
        venue.instruction(
            pool=pool,
            swap=Swap(SOL, USDC, amounts[0]),
            min_amount_out_base=amounts[1],
            owner=Pubkey.default(),
        )

    assert refusal.value.code == "AMOUNT_TOO_LARGE"


def test_it_refuses_instructions_that_are_not_its_own(venue: Program) -> None:
    pool = quote(venue, Swap(SOL, USDC, 10**9)).pool
    good = venue.instruction(
        pool=pool, swap=Swap(SOL, USDC, 10**9), min_amount_out_base=1, owner=Pubkey.default()
    )
    accounts, data = list(good.accounts), bytes(good.data)
    strangers = [AccountMeta(Pubkey.from_bytes(bytes([n] * 32)), False, True) for n in range(20)]
    bad = [
        Instruction(venue.program_id, b"", accounts),
        Instruction(venue.program_id, data + b"\0", accounts),
        Instruction(venue.program_id, b"\0" * 8 + data[8:], accounts),
        Instruction(venue.program_id, data, accounts[:-1]),
        Instruction(venue.program_id, data, strangers[: len(accounts)]),
    ]

    for instruction in bad:
        with pytest.raises(Rejected):
            venue.decode(instruction)


def test_venues_charge_differently_and_are_differently_deep() -> None:
    quotes = [quote(venue, Swap(SOL, USDC, 10**9)) for venue in VENUES_BY_NAME.values()]

    assert len({quoted.fee_base for quoted in quotes}) == len(quotes)
    assert len({quoted.depth_base for quoted in quotes}) == len(quotes)
    assert len({quoted.pool for quoted in quotes}) == len(quotes)
