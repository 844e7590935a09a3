"""The same seed, the same slots, the same orders: the same fills, bit for bit, in another process as well."""

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

from routing.simulated_chain import SimulatedChain
from routing.tokens import SOL, USDC
from tests.routing.lab import ChainLab, ManualClock, pools_of, receipt

SCRIPT = """
import json, sys
from solders.keypair import Keypair
from tests.routing.lab import ChainLab, ManualClock
from tests.routing.test_replay import fills
lab = ChainLab(sys.argv[1], ManualClock(), Keypair.from_seed(bytes(range(32))))
lab.restart()
print(json.dumps(fills(lab, seed=int(sys.argv[2]))))
lab.close()
"""


def fills(lab: ChainLab, *, seed: int = 1) -> list[list[Any]]:
    """A busy market: in each of 30 slots some swaps, of which many land slots later and move what others then find."""
    chain = lab.open(seed=seed, swap_delay_ms=(0, 3_000))
    sent = []
    for slot in range(30):
        for n in range(4):
            venue = ("raydium", "meteora")[(slot + n) % 2]
            amount_base = (1 + (7 * slot + 13 * n) % 50) * 10**10
            transaction = lab.swap_transaction(
                chain, f"{slot}:{n}", venue=venue, amount_in_base=amount_base
            )
            chain.send(transaction.raw)
            sent.append(transaction.signature)
        lab.clock.pass_slots(1)
    lab.clock.pass_slots(10)
    return [
        [landed.signature, landed.slot, landed.error, landed.amount_out_base]
        for landed in (receipt(chain, signature) for signature in sent)
    ]


def in_another_process(conninfo: str, *, seed: int = 1) -> list[list[Any]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, conninfo, str(seed)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def test_two_processes_fill_the_same_orders_alike_to_the_base_unit(lab: ChainLab) -> None:
    here = fills(lab)

    assert in_another_process(lab.conninfo) == here
    assert len({slot for _, slot, _, _ in here}) > 20
    # Another market, and with it another genesis, blockhashes and signatures.
    there = in_another_process(lab.conninfo, seed=2)
    assert [fill[3] for fill in there] != [fill[3] for fill in here]


def price(chain: SimulatedChain, venue: str) -> int:
    """What the venue's deep pool gives for a SOL now, without any fee."""
    reading = chain.reading()
    address = pools_of(venue, SOL, USDC)[0].address
    state = chain.venues[venue].state(
        address, slot=reading.slot, moved_x_base=reading.displaced_x_base.get(address, 0)
    )
    return state.at_mid(SOL, 10**9)


def test_what_lands_moves_a_pool_from_the_next_slot_on_and_fades(lab: ChainLab) -> None:
    def prices(*, swaps: int) -> list[int]:
        lab.restart()
        chain = lab.open()
        for n in range(swaps):
            transaction = lab.swap_transaction(chain, f"{n}", amount_in_base=5_000 * 10**9)
            chain.send(transaction.raw)
        found = []
        for _ in range(30):
            found.append(price(chain, "raydium"))
            lab.clock.pass_slots(1)
        return found

    calm, once, twice = prices(swaps=0), prices(swaps=1), prices(swaps=2)

    assert once[0] == twice[0] == calm[0], "a slot's transactions find the pool as it was before"
    assert twice[1] < once[1] < calm[1] * 0.98
    below = [1 - now / undisturbed for now, undisturbed in zip(once, calm, strict=True)]
    assert all(later < earlier for earlier, later in pairwise(below[1:25]))
    assert below[3] < 0.7 * below[1]
    assert once[26:] == calm[26:]


def test_the_swaps_of_a_slot_do_not_move_the_price_for_each_other(lab: ChainLab) -> None:
    chain = lab.open(swap_delay_ms=(400, 400))
    sent = [
        lab.swap_transaction(chain, f"{n}", amount_in_base=1_000 * 10**9).signature
        for n in range(5)
    ]
    for n in range(5):
        chain.send(lab.swap_transaction(chain, f"{n}", amount_in_base=1_000 * 10**9).raw)
    lab.clock.pass_slots(3)

    landed = [receipt(chain, signature) for signature in sent]

    assert len({each.slot for each in landed}) == 1
    assert len({each.amount_out_base for each in landed}) == 1


def test_a_process_that_never_looked_finds_the_same_displacement(lab: ChainLab) -> None:
    """What is in flight lands, slot by slot, before anybody is told what it moved."""
    first = lab.open(swap_delay_ms=(400, 4_000))
    for n in range(20):
        first.send(lab.swap_transaction(first, f"{n}", amount_in_base=300 * 10**9).raw)
        lab.clock.pass_slots(1)
        first.reading()

    late = lab.open(swap_delay_ms=(400, 4_000))

    assert late.reading() == first.reading()
    assert any(first.reading().displaced_x_base.values())


def test_a_sender_held_up_past_the_end_of_its_slot_lands_in_the_next_as_that_finds_the_pools(
    lab: ChainLab,
) -> None:
    asleep = ManualClock()
    sender, others = lab.open(clock=asleep), lab.open()
    sent = lab.swap_transaction(sender, "late")
    others.send(lab.swap_transaction(others, "big", amount_in_base=5_000 * 10**9).raw)
    lab.clock.pass_slots(1)
    others.reading()  # the slot is over now
    in_time = others.venues["raydium"]
    address = pools_of("raydium", SOL, USDC)[0].address

    sender.send(sent.raw)
    lab.clock.pass_slots(1)
    landed = receipt(others, sent.signature)

    displaced = others.reading().displaced_x_base
    assert landed.slot == others.current_slot() - 1
    before = in_time.state(address, slot=landed.slot, moved_x_base=0).exact_in(SOL, 10**9)
    assert displaced[address] > 0
    assert landed.amount_out_base < before.amount_out_base * 0.99
