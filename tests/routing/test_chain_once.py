"""One effect per signature, and the same effect whoever asks: each chain plays one process."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest

from routing.chain import LandedTransaction
from routing.errors import FateUnknown
from routing.simulated_chain import SimulatedChain
from tests.routing.lab import (
    ChainLab,
    ManualClock,
    receipt,
    rows,
    status,
    together,
    wait_for_a_blocked_lock,
)


@pytest.mark.parametrize("swap_delay_ms", [(0, 0), (2_000, 2_000)])
def test_a_signature_has_one_effect_however_often_it_is_sent(
    lab: ChainLab, swap_delay_ms: tuple[int, int]
) -> None:
    chains = [lab.open(swap_delay_ms=swap_delay_ms) for _ in range(4)]
    sent = lab.swap_transaction(chains[0], "order:1")

    returned = together([lambda chain=chain: chain.send(sent.raw) for chain in chains * 4])

    assert set(returned) == {sent.signature}
    lab.clock.pass_slots(5)
    first = receipt(chains[0], sent.signature)
    lab.clock.pass_slots(20)
    chains[1].send(sent.raw)
    lab.clock.pass_slots(20)
    assert receipt(chains[2], sent.signature) == first
    assert rows(lab) == 1


def receipts(chain: SimulatedChain, signatures: list[str]) -> list[LandedTransaction | None]:
    return [landed for s in signatures for landed in chain.transactions([s])]


def test_the_outcome_depends_neither_on_who_asks_nor_on_when(lab: ChainLab) -> None:
    def send_some() -> tuple[list[SimulatedChain], list[str]]:
        chains = [lab.open(swap_delay_ms=(400, 4_000), fault_rate=0.2) for _ in range(3)]
        signatures = []
        for n in range(40):
            sent = lab.swap_transaction(chains[0], f"order:{n}", amount_in_base=10**9 + n)
            signatures.append(sent.signature)
            with suppress(FateUnknown):  # the seed refuses it in both runs
                chains[0].send(sent.raw)
        return chains, signatures

    chains, signatures = send_some()
    for n in range(15):
        lab.clock.pass_slots(1)
        asker = chains[n % 3]
        asker.statuses(signatures[n::3])
        asker.transactions(signatures[::7])
    eager = receipts(chains[0], signatures)

    lab.restart()
    chains, same_signatures = send_some()
    lab.clock.pass_slots(15)
    lazy = receipts(chains[2], same_signatures)

    assert signatures == same_signatures
    assert eager == lazy
    assert 10 < sum(landed is not None for landed in lazy) < 40
    assert len({landed.slot for landed in lazy if landed}) > 3


def test_askers_that_land_the_same_swaps_at_once_agree(lab: ChainLab) -> None:
    chains = [lab.open(swap_delay_ms=(400, 2_000)) for _ in range(4)]
    signatures = []
    for n in range(30):
        sent = lab.swap_transaction(chains[0], f"order:{n}", amount_in_base=10**9 + n)
        signatures.append(chains[0].send(sent.raw))
    lab.clock.pass_slots(6)

    answers = together([lambda chain=chain: chain.transactions(signatures) for chain in chains])

    assert None not in answers[0]
    assert all(answer == answers[0] for answer in answers)


def test_a_sender_held_up_until_its_slot_is_final_lands_nothing(lab: ChainLab) -> None:
    """It chose its slot, slept, and wakes after its swap was proven dead."""
    asker, asleep = lab.open(), ManualClock()
    sender = lab.open(clock=asleep)
    sent = lab.swap_transaction(sender, "order:1")
    lab.clock.pass_slots(150 + 33)
    assert status(asker, sent.signature, history=True) is None

    assert sender.send(sent.raw) == sent.signature

    assert status(asker, sent.signature, history=True) is None
    assert rows(lab) == 0


def test_a_sender_that_wakes_in_time_lands_in_the_slot_of_its_waking(lab: ChainLab) -> None:
    asker = lab.open()
    readings: list[float] = []

    def waking() -> float:
        # Its first look at the clock while sending is 40 slots old.
        return readings.pop() if readings else lab.clock()

    sender = lab.open(clock=waking)
    sent = lab.swap_transaction(sender, "order:1")
    readings.append(lab.clock())
    lab.clock.pass_slots(40)
    assert status(asker, sent.signature) is None

    sender.send(sent.raw)

    assert receipt(asker, sent.signature).slot == asker.head().slot


def test_a_close_waits_for_a_send_under_way(lab: ChainLab) -> None:
    """The proof of death and the landing it would contradict can't both commit."""
    chain = lab.open(finality_slots=0)
    sent = lab.swap_transaction(chain, "order:1")
    with psycopg.connect(lab.conninfo) as sending:
        taken = sending.execute(
            "SELECT simulated_chain.take(%s, %s, '{NULL}', '{NULL}', '{m}', '{s}', '{raydium}', '{p}',"
            " '{1}', '{1}', '{1}', '{NULL}')",
            [[sent.signature], [chain.current_slot()]],
        ).fetchall()
        assert taken == []
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(status, chain, sent.signature)
            wait_for_a_blocked_lock(lab.conninfo)
            sending.commit()
            found = asking.result(timeout=5)

    assert found is not None
