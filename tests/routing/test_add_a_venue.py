"""What `docs/add-a-venue.md` promises to whoever follows it. Its example also keeps `test_venues.py`'s contract."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from routing import registry, route_program
from routing.answers import Answer
from routing.market import Market
from routing.registry import open_venues
from routing.router import Decision, Terms, decide, pairs_of
from routing.simulated_chain import SimulatedChain
from routing.spl import TOKEN_PROGRAM_ID, token_account
from routing.tokens import SOL, USDC
from routing.transaction import SignedTransaction, build_swap
from routing.venue import Swap, SwapTerms
from tests.routing import lab as labs
from tests.routing.example_venue import Orca, block
from tests.routing.lab import ChainLab, PromptFeed, foreseen, pools_of, receipt

LARGE = Swap(SOL, USDC, 50_000 * 10**9)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine, once the page was followed."""
    monkeypatch.setattr(registry, "VENUES", (*registry.VENUES, Orca))
    venues = open_venues(Market(seed=1), PromptFeed(), slot_ms=400)
    monkeypatch.setattr(labs, "PROMPT_VENUES", venues)


def test_the_file_is_written_as_the_projects_own_are() -> None:
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--stdin-filename", "routing/orca.py", "-"],
            input=block("python"),
            cwd=Path(registry.__file__).parents[1],
            capture_output=True,
            text=True,
        )

        assert done.returncode == 0, done.stdout + done.stderr


def test_the_line_fits_the_registry() -> None:
    before = Path(registry.__file__).read_text().splitlines()

    lines = block("diff").splitlines()

    assert {line[1:] for line in lines if line[0] == " "} <= set(before)
    added = [line[1:] for line in lines if line[0] == "+"]
    assert added == ["from routing.orca import Orca", "    Orca,"]


def test_its_accounts_stand_in_the_order_of_the_program() -> None:
    """As orca-so/typescript-sdk and the program's `instruction.rs` list them, for `Swap`."""
    (pool,) = pools_of("orca", SOL, USDC)
    address, owner = Pubkey.from_string(pool.address), Pubkey.from_bytes(bytes([7] * 32))
    terms = SwapTerms(pool.address, Swap(USDC, SOL, 258), 3)

    swap = labs.PROMPT_VENUES["orca"].instruction(terms, owner=owner)

    assert bytes(swap.data) == b"\1\2\1\0\0\0\0\0\0\3\0\0\0\0\0\0\0"
    keys = [account.pubkey for account in swap.accounts]
    authority, _ = Pubkey.find_program_address([bytes(address)], Orca.program_id)
    assert keys[:3] == [address, authority, owner]
    assert [keys[3], keys[6]] == [token_account(owner, token) for token in (USDC, SOL)]
    assert keys[9:] == [TOKEN_PROGRAM_ID]
    assert [each.is_writable for each in swap.accounts] == [False] * 3 + [True] * 6 + [False]


def test_a_pools_authority_is_the_one_of_the_main_network() -> None:
    """Of Orca's pool of SOL and USDC (`src/constants/pools.ts` of orca-so/typescript-sdk)."""
    pool = Pubkey.from_string("EGZ7tiLeH62TPV1gL8WwbXGzEPa9zmcpVnnkPKKnrE2U")

    authority, _ = Pubkey.find_program_address([bytes(pool)], Orca.program_id)

    assert str(authority) == "JU8kmKzDHF9sXWsnoznaFDFezLsE5uomX2JkRMbmsQP"


def decided(chain: SimulatedChain, *, without: str = "") -> Decision:
    answers = [
        Answer(name, asyncio.run(venue.pools(pairs_of(LARGE))))
        for name, venue in chain.venues.items()
        if name != without
    ]
    prices = chain.market.reference_prices([SOL, USDC], chain.current_slot())
    return decide(
        LARGE, answers, Terms(prices, network_fee_lamports=5_000, leg_cost_lamports=5_000)
    )


def transaction(lab: ChainLab, chain: SimulatedChain, decision: Decision) -> SignedTransaction:
    route, owner = decision.route, lab.signer.pubkey()
    legs = []
    for leg in route.legs:
        swap = Swap(leg.token_in, leg.token_out, leg.fill.amount_in_base)
        terms = SwapTerms(leg.pool.address, swap, 0)
        legs.append((leg.hop, chain.venues[leg.pool.venue].instruction(terms, owner=owner)))
    instruction = route_program.instruction(
        legs,
        amount_in_base=route.amount_in_base,
        min_amount_out_base=route.amount_out_base,
        owner=owner,
    )
    blockhash = chain.latest_blockhash().blockhash
    return build_swap(instruction, memo="order:1", blockhash=blockhash, signer=lab.signer)


def test_a_large_order_is_divided_over_it_too_and_lands(lab: ChainLab) -> None:
    chain = lab.open()

    decision = decided(chain)
    sent = transaction(lab, chain, decision)
    trouble = foreseen(chain, sent.raw)
    chain.send(sent.raw)

    route = decision.route
    assert len(route.legs) > 1
    assert "orca" in {leg.pool.venue for leg in route.legs}
    assert route.amount_out_base > decided(lab.open(), without="orca").route.amount_out_base
    landed = receipt(chain, sent.signature)
    assert (trouble, landed.error) == (None, None)
    assert landed.venue == route.venue
    assert landed.amount_out_base == route.amount_out_base


def test_its_own_instruction_lands_and_moves_its_pool(lab: ChainLab) -> None:
    chain = lab.open()
    (before,) = asyncio.run(chain.venues["orca"].pools([(SOL, USDC)]))
    sent = lab.swap_transaction(chain, "order:1", amount_in_base=1_000 * 10**9, venue="orca")

    chain.send(sent.raw)

    landed = receipt(chain, sent.signature)
    assert (landed.venue, landed.error) == ("orca", None)
    fill = before.exact_in(SOL, 1_000 * 10**9)
    assert landed.amount_out_base == fill.amount_out_base
    lab.clock.pass_slots(1)
    (after,) = asyncio.run(chain.venues["orca"].pools([(SOL, USDC)]))
    assert after.at_mid(SOL, 10**9) < before.at_mid(SOL, 10**9)
