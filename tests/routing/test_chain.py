"""The simulated chain's time and landings, on a real PostgreSQL."""

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.chain import SignatureStatus
from routing.errors import Rejected, Unavailable
from routing.transaction import build_swap
from tests.routing.lab import (
    STARTED_AT_S,
    ChainLab,
    ManualClock,
    foreseen,
    receipt,
    rows,
    status,
    together,
)

# Time


def test_every_process_agrees_on_the_genesis_though_all_begin_at_once(lab: ChainLab) -> None:
    chains = [lab.open(clock=ManualClock(STARTED_AT_S + n)) for n in range(6)]

    heads = together([chain.head for chain in chains])

    assert len({head.genesis_hash for head in heads}) == 1
    assert len({head.slot for head in heads}) == 6


def test_slots_heights_and_blockhashes_follow_the_clock(lab: ChainLab) -> None:
    chain = lab.open()
    first, first_hash = chain.head(), chain.latest_blockhash()

    lab.clock.pass_slots(5)
    later, later_hash = chain.head(), chain.latest_blockhash()

    assert (later.slot - first.slot, later.block_height - first.block_height) == (5, 5)
    assert later.finalized_slot == later.finalized_block_height == later.slot - 32 > 0
    assert later_hash.blockhash != first_hash.blockhash
    assert later_hash.last_valid_block_height == later.block_height + 150
    assert later_hash == lab.open().latest_blockhash()
    assert later_hash.genesis_hash == later.genesis_hash == first.genesis_hash


def test_a_chain_is_not_continued_at_another_pace(lab: ChainLab) -> None:
    lab.open(slot_ms=400).head()

    with pytest.raises(Unavailable) as error:
        lab.open(slot_ms=40).head()

    assert error.value.code == "CHAIN_MISCONFIGURED"


# Landing


def test_without_delay_a_swap_has_landed_when_send_returns(lab: ChainLab) -> None:
    chain = lab.open()
    sent = lab.swap_transaction(chain, "order:1", min_amount_out_base=5)

    assert foreseen(chain, sent.raw) is None
    assert chain.send(sent.raw) == sent.signature

    slot = chain.head().slot
    assert status(chain, sent.signature) == SignatureStatus(slot, None, "confirmed")
    landed = receipt(lab.open(), sent.signature)
    assert (landed.slot, landed.memo, landed.venue) == (slot, "order:1", "raydium")
    assert landed.signer == str(lab.signer.pubkey())
    assert (landed.amount_in_base, landed.min_amount_out_base) == (10**9, 5)
    assert 100 * 10**6 < landed.amount_out_base < 220 * 10**6
    assert (landed.error, landed.fee_lamports) == (None, 5_000)
    assert landed.landed_at.timestamp() == pytest.approx(STARTED_AT_S)

    lab.clock.pass_slots(32)
    assert status(chain, sent.signature) == SignatureStatus(slot, None, "finalized")


def test_with_delay_a_swap_lands_in_its_time_and_at_the_price_of_its_slot(lab: ChainLab) -> None:
    chain = lab.open(swap_delay_ms=(2_000, 3_000))
    sent = lab.swap_transaction(chain, "order:1")
    sent_in_slot = chain.head().slot
    chain.send(sent.raw)

    lab.clock.pass_slots(4)
    assert status(chain, sent.signature) is None
    assert chain.transactions([sent.signature]) == (None,)

    lab.clock.pass_slots(4)
    landed = receipt(chain, sent.signature)
    assert 5 <= landed.slot - sent_in_slot <= 8
    found = status(chain, sent.signature)
    assert found is not None
    assert found.slot == landed.slot

    # The same swap without delay, in the slot of the landing, gets the same price.
    lab.restart()
    instant = lab.open()
    instant.head()
    lab.clock.pass_slots(landed.slot - sent_in_slot)
    again = lab.swap_transaction(instant, "another")
    instant.send(again.raw)
    assert receipt(instant, again.signature).amount_out_base == landed.amount_out_base


def test_below_its_minimum_a_swap_fails_on_chain_and_pays_nothing(lab: ChainLab) -> None:
    chain = lab.open()
    paid = lab.swap_transaction(chain, "fair")
    chain.send(paid.raw)
    fair_base = receipt(chain, paid.signature).amount_out_base
    exact = lab.swap_transaction(chain, "exact", min_amount_out_base=fair_base)
    greedy = lab.swap_transaction(chain, "greedy", min_amount_out_base=fair_base + 1)

    for transaction in (exact, greedy):
        chain.send(transaction.raw)

    assert foreseen(chain, exact.raw) is None
    assert foreseen(chain, greedy.raw) == "SLIPPAGE_EXCEEDED"
    assert receipt(chain, exact.signature).amount_out_base == fair_base
    failed = receipt(chain, greedy.signature)
    assert (failed.error, failed.amount_out_base, failed.fee_lamports) == (
        "SLIPPAGE_EXCEEDED",
        0,
        5_000,
    )
    found = status(chain, greedy.signature)
    assert found is not None
    assert found.error == "SLIPPAGE_EXCEEDED"


@pytest.mark.parametrize(("late_slots", "lands"), [(150, True), (151, False)])
def test_a_swap_is_taken_up_to_its_last_valid_height(
    lab: ChainLab, late_slots: int, lands: bool
) -> None:
    chain = lab.open()
    sent = lab.swap_transaction(chain, "order:1")

    lab.clock.pass_slots(late_slots)

    assert foreseen(chain, sent.raw) == (None if lands else "BLOCKHASH_NOT_FOUND")
    assert chain.send(sent.raw) == sent.signature
    assert (status(chain, sent.signature) is not None) == lands


@pytest.mark.parametrize(("delay_slots", "lands"), [(150, True), (151, False)])
def test_an_expired_swap_is_refused_at_landing(
    lab: ChainLab, delay_slots: int, lands: bool
) -> None:
    delay_ms = delay_slots * 400
    chain = lab.open(swap_delay_ms=(delay_ms, delay_ms))
    sent = lab.swap_transaction(chain, "order:1")
    chain.send(sent.raw)
    assert rows(lab) == 1

    lab.clock.pass_slots(200)

    assert (status(chain, sent.signature, history=True) is not None) == lands
    assert rows(lab) == lands
    chain.send(sent.raw)
    lab.clock.pass_slots(200)
    assert (status(chain, sent.signature, history=True) is not None) == lands


def test_a_blockhash_of_another_chain_never_lands(lab: ChainLab) -> None:
    sent = lab.swap_transaction(lab.open(), "order:1")
    lab.restart()
    lab.clock.now_s += 1
    chain = lab.open()
    chain.head()

    chain.send(sent.raw)

    assert foreseen(chain, sent.raw) == "BLOCKHASH_NOT_FOUND"
    assert status(chain, sent.signature, history=True) is None


def test_bytes_that_no_node_would_take_are_rejected(lab: ChainLab) -> None:
    chain = lab.open()
    sent = lab.swap_transaction(chain, "order:1")
    foreign = build_swap(
        Instruction(Pubkey.from_bytes(bytes([9] * 32)), b"", []),
        memo="order:1",
        blockhash=chain.latest_blockhash().blockhash,
        signer=lab.signer,
    )
    forged = bytes([sent.raw[0], sent.raw[1] ^ 1]) + sent.raw[2:]

    for raw, code in [
        (b"junk", "MALFORMED_TRANSACTION"),
        (forged, "BAD_SIGNATURE"),
        (foreign.raw, "UNKNOWN_PROGRAM"),
    ]:
        with pytest.raises(Rejected) as refusal:
            chain.send(raw)
        assert refusal.value.code == code
        (trouble,) = chain.simulate_many([raw])
        assert isinstance(trouble, Rejected)
        assert trouble.code == code
    assert rows(lab) == 0


def test_several_are_simulated_in_one_call_and_each_has_its_answer(lab: ChainLab) -> None:
    chain = lab.open()
    good = lab.swap_transaction(chain, "good")
    greedy = lab.swap_transaction(chain, "greedy", min_amount_out_base=10**15)

    answers = chain.simulate_many([good.raw, b"no transaction", greedy.raw])

    assert [type(answer) for answer in answers] == [type(None), Rejected, Unavailable]
    assert rows(lab) == 0


def test_several_are_sent_in_one_call_and_each_has_its_answer(lab: ChainLab) -> None:
    chain = lab.open()
    good = [lab.swap_transaction(chain, f"order:{n}") for n in (1, 2)]

    answers = chain.send_many([good[0].raw, b"no transaction", good[1].raw, good[0].raw])

    assert [type(answer) for answer in answers] == [type(None), Rejected, type(None), type(None)]
    landed = chain.transactions([each.signature for each in good])
    assert [receipt.memo for receipt in landed if receipt] == ["order:1", "order:2"]
