"""One instruction for several legs: all or none, one minimum, and later hops get what earlier ones paid."""

import asyncio
from collections.abc import Sequence
from itertools import combinations

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from routing import route_program
from routing.errors import Rejected
from routing.market import Market
from routing.pool import Pool
from routing.route_program import LegTerms, RouteTerms, divide
from routing.router import MAX_LEGS, MAX_VENUES_OVER_A_HUB
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.transaction import MAX_TRANSACTION_BYTES, build_swap
from routing.venue import Swap, SwapTerms
from tests.routing.example_venue import Orca
from tests.routing.lab import PROMPT_VENUES, PromptFeed

OWNER = Keypair.from_seed(bytes(32))
JUP, BONK = TOKENS["JUP"], TOKENS["BONK"]
# One more than the engine has: the how-to's.
VENUES = {Orca.name: Orca(Market(seed=1), PromptFeed(), slot_ms=400), **PROMPT_VENUES}
PROGRAMS = {venue.program_id: venue for venue in VENUES.values()}


def pools(a: Token, b: Token) -> list[Pool]:
    return [pool for venue in VENUES.values() for pool in asyncio.run(venue.pools([(a, b)]))]


def leg(hop: int, pool: Pool, token_in: Token, amount_in_base: int) -> LegTerms:
    token_out = pool.token_y if token_in == pool.token_x else pool.token_x
    swap = Swap(token_in, token_out, amount_in_base)
    return LegTerms(hop, pool.venue, SwapTerms(pool.address, swap, 0))


def instruction(legs: Sequence[LegTerms], *, amount_in_base: int, minimum: int = 1) -> Instruction:
    return route_program.instruction(
        [
            (each.hop, VENUES[each.venue].instruction(each.terms, owner=OWNER.pubkey()))
            for each in legs
        ],
        amount_in_base=amount_in_base,
        min_amount_out_base=minimum,
        owner=OWNER.pubkey(),
    )


def side_by_side() -> list[LegTerms]:
    return [leg(0, pool, SOL, 10**9 + n) for n, pool in enumerate(pools(SOL, USDC)[:3])]


def over_sol() -> list[LegTerms]:
    """Two pools to SOL, then one on."""
    first, second, *_ = pools(JUP, SOL)
    return [
        leg(0, first, JUP, 3 * 10**6),
        leg(0, second, JUP, 10**6),
        leg(1, pools(SOL, BONK)[0], SOL, 5 * 10**6),
    ]


@pytest.mark.parametrize("legs", [side_by_side(), over_sol()], ids=["side by side", "two hops"])
def test_a_route_reads_back_as_it_was_written(legs: list[LegTerms]) -> None:
    written = instruction(legs, amount_in_base=4 * 10**9, minimum=77)

    terms = route_program.decode(written, PROGRAMS)

    assert terms == RouteTerms(4 * 10**9, 77, tuple(legs))
    assert [account.pubkey for account in written.accounts if account.is_signer].count(
        OWNER.pubkey()
    ) == len([account for account in written.accounts if account.is_signer])


def test_a_venues_own_instruction_is_a_route_of_one_leg() -> None:
    pool = pools(SOL, USDC)[0]
    terms = SwapTerms(pool.address, Swap(SOL, USDC, 10**9), 5)

    read = route_program.decode(
        VENUES[pool.venue].instruction(terms, owner=OWNER.pubkey()), PROGRAMS
    )

    assert read == RouteTerms(10**9, 5, (LegTerms(0, pool.venue, terms),))


def test_legs_side_by_side_divide_the_amount_by_their_weights_and_add_up() -> None:
    legs = side_by_side()
    states = {pool.address: pool for pool in pools(SOL, USDC)}
    amount = 9_000_000_001

    paid = route_program.execute(
        RouteTerms(amount, 0, tuple(legs)), lambda venue, address: states[address]
    )

    parts = divide(amount, [each.terms.swap.amount_in_base for each in legs])
    fills = [
        states[each.terms.pool].exact_in(SOL, part) for each, part in zip(legs, parts, strict=True)
    ]
    assert sum(parts) == amount
    assert paid.amount_out_base == sum(fill.amount_out_base for fill in fills)
    for each, part, fill in zip(legs, parts, fills, strict=True):
        got_sol = part if states[each.terms.pool].token_x == SOL else -fill.amount_out_base
        assert paid.moved_x_base[each.terms.pool] == got_sol


def test_a_second_hop_takes_what_the_first_has_really_paid() -> None:
    legs = over_sol()
    states = {pool.address: pool for pair in ((JUP, SOL), (SOL, BONK)) for pool in pools(*pair)}

    paid = route_program.execute(
        RouteTerms(8 * 10**6, 0, tuple(legs)), lambda venue, address: states[address]
    )

    sol_base = sum(
        states[each.terms.pool].exact_in(JUP, part).amount_out_base
        for each, part in zip(legs[:2], (6 * 10**6, 2 * 10**6), strict=True)
    )
    assert sol_base != legs[2].terms.swap.amount_in_base
    assert (
        paid.amount_out_base == states[legs[2].terms.pool].exact_in(SOL, sol_base).amount_out_base
    )


def test_a_transaction_has_room_for_the_longest_routes() -> None:
    """Of any pools that the router takes: side by side, and two hops with two pools in either."""
    ways = [
        [leg(0, pool, SOL, 10**9) for pool in some]
        for some in combinations(pools(SOL, USDC), MAX_LEGS)
    ]
    for first in pools(JUP, SOL):
        for second, third in combinations(pools(SOL, BONK), 2):
            if len({first.venue, second.venue, third.venue}) > MAX_VENUES_OVER_A_HUB:
                continue
            ways.append(
                [leg(0, first, JUP, 10**6), leg(1, second, SOL, 10**6), leg(1, third, SOL, 10**6)]
            )
            ways.append(
                [leg(0, second, BONK, 10**6), leg(0, third, BONK, 10**6), leg(1, first, SOL, 10**6)]
            )

    sizes = [
        len(
            build_swap(
                instruction(legs, amount_in_base=2**63),
                memo=f"{'0' * 36}:4",
                blockhash=str(Pubkey.default()),
                signer=OWNER,
            ).raw
        )
        for legs in ways
    ]

    assert len(ways) > 10
    assert max(sizes) <= MAX_TRANSACTION_BYTES


def test_what_no_route_of_ours_would_say_is_refused() -> None:
    good = instruction(side_by_side(), amount_in_base=10**9)
    data, accounts = bytes(good.data), list(good.accounts)
    stranger = AccountMeta(Pubkey.from_bytes(bytes([7] * 32)), False, True)
    two_pairs = [leg(0, pools(SOL, USDC)[0], SOL, 1), leg(0, pools(SOL, JUP)[0], SOL, 1)]
    torn = [leg(0, pools(SOL, USDC)[0], SOL, 1), leg(1, pools(SOL, JUP)[0], JUP, 1)]
    nothing = [leg(0, pools(SOL, USDC)[0], SOL, 0), leg(0, pools(SOL, USDC)[1], SOL, 0)]
    backwards = [leg(1, pools(SOL, USDC)[0], SOL, 1), leg(0, pools(SOL, USDC)[1], SOL, 1)]
    program = route_program.PROGRAM_ID
    bad = [
        Instruction(program, b"", accounts),
        Instruction(program, data[:-1], accounts),
        Instruction(program, data + b"\0", accounts),
        Instruction(program, b"\0" * 8 + data[8:], accounts),
        Instruction(program, data, accounts[:-1]),
        Instruction(program, data, [*accounts, stranger]),
        Instruction(program, data[:24] + b"\0", accounts[:1]),
        *(instruction(legs, amount_in_base=1) for legs in (two_pairs, torn, nothing, backwards)),
        Instruction(Pubkey.default(), data, accounts),
    ]

    for each in bad:
        with pytest.raises(Rejected):
            route_program.decode(each, PROGRAMS)


@pytest.mark.parametrize("amounts", [(2**64, 1), (1, 2**64)])
def test_a_route_is_not_written_beyond_u64(amounts: tuple[int, int]) -> None:
    with pytest.raises(Rejected) as refusal:
        instruction(side_by_side(), amount_in_base=amounts[0], minimum=amounts[1])

    assert refusal.value.code == "AMOUNT_TOO_LARGE"
