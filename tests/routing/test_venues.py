"""The contract of every venue in the registry, and of the how-to's: a new one is covered by being registered."""

import asyncio
import json
import struct
from collections.abc import Sequence
from itertools import combinations, permutations

import grimp
import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from routing.errors import Rejected
from routing.market import Market
from routing.pool import PRICE_ONE, Pool
from routing.registry import VENUES, open_venues
from routing.spl import token_account
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import Pair, Program, Reading, Swap, SwapTerms
from tests.routing.example_venue import Orca

SLOT = 4_242
MARKET = Market(seed=3)
DIRECT_PAIRS = [
    (a, b) if turn else (b, a)
    for a, b in combinations(TOKENS.values(), 2)
    if SOL in (a, b) or USDC in (a, b)
    for turn in (True, False)
]


class FixedFeed:
    """Answers at once, for one slot; `displaced` is what swaps left in the pools."""

    def __init__(self) -> None:
        self.displaced: dict[str, int] = {}

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        return Reading(SLOT, self.displaced)


FEED = FixedFeed()
REGISTERED = open_venues(MARKET, FEED, slot_ms=400)
# The how-to's is not registered: nobody can trade there.
COVERED = {"example": Orca(MARKET, FEED, slot_ms=400), **REGISTERED}


@pytest.fixture(params=COVERED)
def venue(request: pytest.FixtureRequest) -> Program:
    FEED.displaced = {}
    return COVERED[request.param]


def pools(venue: Program, *pairs: Pair) -> tuple[Pool, ...]:
    return asyncio.run(venue.pools(pairs))


def ten_dollars(token: Token) -> int:
    return 10 * 10**12 * 10**token.decimals // MARKET.price_pico_usd(token, SLOT)


def test_every_venue_is_registered_under_its_own_name_and_program() -> None:
    assert len(REGISTERED) == len(VENUES)
    assert len({venue.program_id for venue in REGISTERED.values()}) == len(VENUES)
    assert {"raydium", "meteora"} <= set(REGISTERED)


def test_venues_never_import_each_other() -> None:
    graph = grimp.build_graph("routing", cache_dir=None)
    modules = [make_venue.__module__ for make_venue in VENUES]

    for venue, other in permutations(modules, 2):
        assert graph.find_shortest_chain(importer=venue, imported=other) is None


@pytest.mark.parametrize(("token_in", "token_out"), DIRECT_PAIRS)
def test_its_pools_of_every_direct_pair_pay_near_the_market(
    venue: Program, token_in: Token, token_out: Token
) -> None:
    found = pools(venue, (token_in, token_out))

    assert found
    fair_base = ten_dollars(token_out)
    for pool in found:
        fill = pool.exact_in(token_in, ten_dollars(token_in))
        assert (pool.venue, pool.slot) == (venue.name, SLOT)
        assert {pool.token_x, pool.token_y} == {token_in, token_out}
        assert 0.9 * fair_base < fill.amount_out_base < 1.06 * fair_base
        assert 0 < fill.fee_base < fill.amount_in_base // 20
        assert fill.amount_out_base <= pool.at_mid(token_in, fill.amount_in_base)
        assert pool.reserve_base(token_out) > 1_000 * fair_base


def test_it_answers_for_many_pairs_at_once_and_for_none_that_it_does_not_list(
    venue: Program,
) -> None:
    jup, bonk = TOKENS["JUP"], TOKENS["BONK"]

    assert pools(venue, (jup, bonk)) == ()
    many = pools(venue, (jup, bonk), (jup, SOL), (SOL, bonk))
    assert many == (*pools(venue, (jup, SOL)), *pools(venue, (SOL, bonk)))


def test_the_pools_of_a_pair_differ_in_address_and_depth(venue: Program) -> None:
    found = pools(venue, (SOL, USDC))

    assert len({pool.address for pool in found}) == len(found)
    assert len({pool.reserve_base(USDC) for pool in found}) == len(found)


def test_a_pool_is_on_chain_what_it_is_to_its_clients(venue: Program) -> None:
    for displaced in (0, 5_000 * 10**9, -5_000 * 10**9):
        FEED.displaced = {pool.address: displaced for pool in pools(venue, (SOL, USDC))}
        for pool in pools(venue, (SOL, USDC)):
            assert venue.state(pool.address, slot=SLOT, moved_x_base=displaced) == pool


def test_what_swaps_left_in_a_pool_moves_its_price_against_the_next(venue: Program) -> None:
    prices = []
    for displaced in (-5_000 * 10**9, 0, 5_000 * 10**9):
        FEED.displaced = {pool.address: displaced for pool in pools(venue, (SOL, USDC))}
        for_x = [pool.at_mid(pool.token_x, 10**9) for pool in pools(venue, (SOL, USDC))]
        prices.append(for_x)

    for scarce, usual, plenty in zip(*prices, strict=True):
        assert scarce > usual > plenty


def test_a_state_is_restored_from_what_was_stored_of_it(venue: Program) -> None:
    for pool in pools(venue, *DIRECT_PAIRS[::2]):
        stored = json.loads(json.dumps(pool.as_json()))

        assert venue.restore(stored) == pool


def test_a_larger_swap_gets_a_worse_price(venue: Program) -> None:
    for pool in pools(venue, (SOL, USDC)):
        small, times = 10**9, pool.reserve_base(SOL) // (4 * 10**9)
        little, much = (
            pool.exact_in(SOL, amount_base).amount_out_base
            for amount_base in (small, times * small)
        )

        assert much < times * little


def test_a_pools_supply_curve_agrees_with_what_it_pays(venue: Program) -> None:
    for pool in pools(venue, (SOL, USDC)):
        spot = PRICE_ONE * pool.exact_in(SOL, 10**9).amount_out_base // 10**9
        taken = pool.takes_above(SOL, spot * 99 // 100)

        assert pool.takes_above(SOL, spot * 102 // 100) == 0
        assert taken > 0
        marginal = pool.exact_in(SOL, taken + 10**8).amount_out_base
        marginal -= pool.exact_in(SOL, taken - 10**8).amount_out_base
        # A curve of steps may stand on one: within a bin of a hundred basis points.
        assert marginal * PRICE_ONE == pytest.approx(2 * 10**8 * spot * 0.99, rel=0.011)


@pytest.mark.parametrize("token_in", [SOL, USDC])
def test_an_exact_amount_out_costs_the_least_that_buys_it(venue: Program, token_in: Token) -> None:
    token_out = USDC if token_in == SOL else SOL
    for pool in pools(venue, (SOL, USDC)):
        held_base = pool.reserve_base(token_out)
        for wanted_base in (1, 1_000_003, held_base // 1_000, held_base // 5):
            fill = pool.exact_out(token_in, wanted_base)

            assert fill.amount_out_base >= wanted_base
            assert fill == pool.exact_in(token_in, fill.amount_in_base)
            try:
                for_less_base = pool.exact_in(token_in, fill.amount_in_base - 1).amount_out_base
            except Rejected:
                for_less_base = 0
            assert for_less_base < wanted_base


@pytest.mark.parametrize(
    ("amount_out_base", "code"),
    [(0, "AMOUNT_TOO_SMALL"), (2**63, "INSUFFICIENT_LIQUIDITY"), (2**64, "AMOUNT_TOO_LARGE")],
)
def test_a_pool_refuses_to_pay_what_it_can_not(
    venue: Program, amount_out_base: int, code: str
) -> None:
    for pool in pools(venue, (SOL, USDC)):
        with pytest.raises(Rejected) as refusal:
            pool.exact_out(USDC, amount_out_base)

        assert refusal.value.code == code


@pytest.mark.parametrize(
    ("amount_in_base", "code"),
    [
        (0, "AMOUNT_TOO_SMALL"),
        (1, "AMOUNT_TOO_SMALL"),
        (2**64, "AMOUNT_TOO_LARGE"),
    ],
)
def test_a_pool_refuses_what_it_can_not_execute(
    venue: Program, amount_in_base: int, code: str
) -> None:
    for pool in pools(venue, (SOL, USDC)):
        with pytest.raises(Rejected) as refusal:
            pool.exact_in(SOL, amount_in_base)

        assert refusal.value.code == code
        assert not refusal.value.retryable


@pytest.mark.parametrize(("token_in", "token_out"), DIRECT_PAIRS)
def test_an_instruction_reads_back_as_it_was_written(
    venue: Program, token_in: Token, token_out: Token
) -> None:
    owner = Keypair.from_seed(bytes(32)).pubkey()
    for pool in pools(venue, (token_in, token_out)):
        terms = SwapTerms(pool.address, Swap(token_in, token_out, 2**64 - 1), 2**63 + 1)

        instruction = venue.instruction(terms, owner=owner)

        assert venue.decode(instruction) == terms
        assert instruction.program_id == venue.program_id
        assert struct.pack("<QQ", 2**64 - 1, 2**63 + 1) in bytes(instruction.data)
        named = {account.pubkey: account for account in instruction.accounts}
        assert Pubkey.from_string(pool.address) in named
        assert all(named[token_account(owner, t)].is_writable for t in (token_in, token_out))
        assert [a.pubkey for a in instruction.accounts if a.is_signer] == [owner]


def test_an_instruction_is_not_written_for_a_pool_of_another_pair(venue: Program) -> None:
    foreign = pools(venue, (SOL, TOKENS["JUP"]))[0].address

    for address in (foreign, str(Pubkey.default())):
        with pytest.raises(Rejected) as refusal:
            venue.instruction(SwapTerms(address, Swap(SOL, USDC, 10**9), 1), owner=Pubkey.default())

        assert refusal.value.code == "NO_POOL"


@pytest.mark.parametrize("amounts", [(2**64, 1), (1, 2**64)])
def test_an_instruction_is_not_written_beyond_u64(venue: Program, amounts: tuple[int, int]) -> None:
    pool = pools(venue, (SOL, USDC))[0].address

    with pytest.raises(Rejected) as refusal:
        venue.instruction(
            SwapTerms(pool, Swap(SOL, USDC, amounts[0]), amounts[1]), owner=Pubkey.default()
        )

    assert refusal.value.code == "AMOUNT_TOO_LARGE"


def test_it_refuses_instructions_that_are_not_its_own(venue: Program) -> None:
    pool = pools(venue, (SOL, USDC))[0].address
    good = venue.instruction(SwapTerms(pool, Swap(SOL, USDC, 10**9), 1), owner=Pubkey.default())
    accounts, data = list(good.accounts), bytes(good.data)
    strangers = [AccountMeta(Pubkey.from_bytes(bytes([n] * 32)), False, True) for n in range(20)]
    bad = [
        Instruction(venue.program_id, b"", accounts),
        Instruction(venue.program_id, data + b"\0", accounts),
        Instruction(venue.program_id, bytes([data[0] ^ 1]) + data[1:], accounts),
        Instruction(venue.program_id, data, accounts[:-1]),
        Instruction(venue.program_id, data, [*accounts, strangers[0]]),
        Instruction(venue.program_id, data, strangers[: len(accounts)]),
    ]

    bad += [
        Instruction(venue.program_id, data, [*accounts[:nth], strangers[0], *accounts[nth + 1 :]])
        for nth in range(len(accounts))
    ]

    for instruction in bad:
        with pytest.raises(Rejected) as refusal:
            venue.decode(instruction)

        assert refusal.value.code == "MALFORMED_INSTRUCTION"


def test_venues_have_different_pools() -> None:
    addresses = [
        pool.address for venue in REGISTERED.values() for pool in pools(venue, *DIRECT_PAIRS[::2])
    ]

    assert len(set(addresses)) == len(addresses)
