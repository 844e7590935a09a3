"""The bad days of the chain's endpoint: each fault does what its sentence says, from the seed."""

from collections.abc import Callable
from typing import Any

import pytest

from routing.errors import FateUnknown, RoutingError, Unavailable
from routing.faults import FAULTS
from routing.simulated_node import SimulatedNode
from routing.simulation import SimulationConfig
from routing.transaction import SignedTransaction
from tests.routing.lab import ChainLab, receipt, rows, status

VALID, FINALITY = 20, 4


def bad(lab: ChainLab, **faults: float) -> SimulatedNode:
    return lab.node(faults=faults, blockhash_valid_blocks=VALID, finality_slots=FINALITY)


def landed(lab: ChainLab) -> tuple[SimulatedNode, SignedTransaction]:
    """A swap that landed, and an endpoint without faults."""
    good = bad(lab)
    sent = lab.swap_transaction(good, "order:1")
    good.send(sent.raw)
    return good, sent


def with_luck(lab: ChainLab, node: SimulatedNode, wanted: Callable[[str], bool]) -> Any:
    """A swap whose signature has the luck that the test needs."""
    for n in range(1_000):
        sent = lab.swap_transaction(node, f"order:{n}")
        if wanted(sent.signature):
            return sent
    raise AssertionError("no such luck in 1,000 signatures")


# Of a send


def test_a_dropped_swap_lands_when_it_is_sent_again(lab: ChainLab) -> None:
    config = {"faults": {"dropped": 0.5}, "seed": 4}
    node, luck = lab.node(**config), SimulationConfig(**config).strikes
    sent = with_luck(lab, node, lambda s: luck("dropped", s, 1) and not luck("dropped", s, 2))

    assert node.send(sent.raw) == sent.signature
    assert status(node, sent.signature, history=True) is None

    # The count of sends is the chain's, not the process's.
    lab.node(**config).send(sent.raw)
    found = status(node, sent.signature)
    assert found is not None
    assert found.error is None


def test_a_refused_send_leaves_the_fate_unknown_and_nothing_behind(lab: ChainLab) -> None:
    node = bad(lab, send_refused=1)
    sent = lab.swap_transaction(node, "order:1")

    with pytest.raises(FateUnknown, match="error"):
        node.send(sent.raw)

    assert status(node, sent.signature, history=True) is None


def test_a_lost_answer_hides_a_swap_that_landed(lab: ChainLab) -> None:
    node = bad(lab, answer_lost=1)
    sent = lab.swap_transaction(node, "order:1")

    with pytest.raises(FateUnknown, match="lost"):
        node.send(sent.raw)

    assert receipt(node, sent.signature).error is None


def test_a_duplicate_send_has_one_effect(lab: ChainLab) -> None:
    node = bad(lab, duplicate_send=1)
    sent = lab.swap_transaction(node, "order:1")

    node.send(sent.raw)

    assert rows(lab) == 1


# Of a transaction


def test_slippage_strikes_on_chain_where_no_simulation_foresees_it(lab: ChainLab) -> None:
    node = bad(lab, slippage=1)
    sent = lab.swap_transaction(node, "order:1")

    assert node.simulate_many([sent.raw]) == (None,)
    node.send(sent.raw)

    assert receipt(node, sent.signature).error == "SLIPPAGE_EXCEEDED"


def test_what_lands_last_lands_in_the_last_slot_in_which_it_is_valid(lab: ChainLab) -> None:
    node = bad(lab, lands_last=1)
    last_valid_slot = node.latest_blockhash().last_valid_block_height
    sent = lab.swap_transaction(node, "order:1")
    node.send(sent.raw)

    lab.clock.pass_slots(VALID - 1)
    assert status(node, sent.signature, history=True) is None
    lab.clock.pass_slots(1)

    assert receipt(node, sent.signature).slot == last_valid_slot


def test_what_lands_late_is_refused_once_it_has_expired(lab: ChainLab) -> None:
    node = lab.node(faults={"lands_late": 1}, blockhash_valid_blocks=VALID, late_slots=(21, 30))
    sent = lab.swap_transaction(node, "order:1")
    node.send(sent.raw)

    lab.clock.pass_slots(40)

    assert status(node, sent.signature, history=True) is None
    assert node.transactions([sent.signature]) == (None,)


# Of an answer


def test_a_stale_read_does_not_know_what_landed_and_says_how_old_it_is(lab: ChainLab) -> None:
    good, sent = landed(lab)
    stale = bad(lab, stale_read=1)
    slot_of_landing = receipt(good, sent.signature).slot

    seen = [stale.statuses([sent.signature], search_history=True) for _ in range(20)]

    assert all(answer.slot < good.head().slot for answer in seen)
    assert all(answer.statuses == (None,) for answer in seen if answer.slot < slot_of_landing)
    assert any(answer.slot < slot_of_landing for answer in seen)


def test_a_lagging_node_is_behind_in_everything(lab: ChainLab) -> None:
    good, sent = landed(lab)
    node = bad(lab, lagging_node=1)

    assert node.head().slot < good.head().slot
    assert node.latest_blockhash().slot == node.head().slot
    assert node.statuses([sent.signature]).slot == node.head().slot
    assert node.transactions([sent.signature]) == (None,)
    with pytest.raises(Unavailable, match="not come that far"):
        node.history(str(lab.signer.pubkey()), min_context_slot=good.head().slot)


def test_a_node_without_history_says_where_it_begins(lab: ChainLab) -> None:
    _, sent = landed(lab)
    node = bad(lab, no_history=1)
    lab.clock.pass_slots(VALID)

    answer = node.statuses([sent.signature], search_history=True)

    assert answer.statuses == (None,)
    assert answer.first_available_slot == node.head().first_available_slot > 1_000
    assert node.transactions([sent.signature]) == (None,)
    with pytest.raises(Unavailable):
        node.history(str(lab.signer.pubkey()))


def test_another_cluster_knows_nothing_and_has_another_genesis(lab: ChainLab) -> None:
    good, sent = landed(lab)
    node = bad(lab, other_cluster=1)

    answer = node.statuses([sent.signature], search_history=True)

    assert answer.statuses == (None,)
    assert answer.genesis_hash == node.head().genesis_hash != good.head().genesis_hash
    other = lab.swap_transaction(node, "order:2")  # on the other cluster's blockhash
    good.send(other.raw)
    assert status(good, other.signature, history=True) is None


# Of a call


@pytest.mark.parametrize("fault", ["rpc_error", "rpc_timeout"])
def test_a_call_that_fails_is_unavailable_and_a_send_unknown(lab: ChainLab, fault: str) -> None:
    good, sent = landed(lab)
    node = bad(lab, **{fault: 1})
    calls: list[Callable[[], object]] = [
        node.head,
        node.latest_blockhash,
        lambda: node.statuses([sent.signature]),
        lambda: node.transactions([sent.signature]),
        lambda: node.simulate_many([sent.raw]),
        lambda: node.history(str(lab.signer.pubkey())),
    ]

    for call in calls:
        with pytest.raises(Unavailable):
            call()
    with pytest.raises(FateUnknown):
        node.send(lab.swap_transaction(good, "order:2").raw)

    assert rows(lab) == 1


def test_waiting_moves_only_the_clock(lab: ChainLab) -> None:
    node = bad(lab, slow_answer=1)
    before_s = lab.clock()

    node.head()

    assert lab.clock() == pytest.approx(before_s + 0.5)


# All of them


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_same_seed_has_the_same_bad_day(lab: ChainLab, fault: str) -> None:
    def day() -> list[object]:
        lab.restart()
        node = lab.node(faults={fault: 0.5}, seed=7, blockhash_valid_blocks=VALID)
        good = lab.node(seed=7, blockhash_valid_blocks=VALID)
        seen: list[object] = []
        for n in range(12):
            sent = lab.swap_transaction(good, f"order:{n}")
            for call in (
                lambda: node.send(sent.raw),  # noqa: B023
                lambda: node.statuses([sent.signature]),  # noqa: B023
                node.head,
            ):
                try:
                    seen.append(call())
                except RoutingError as error:
                    seen.append(str(error))
            lab.clock.pass_slots(3)
        return seen

    assert day() == day()


def test_a_fault_has_its_own_rate_and_unknown_ones_are_refused() -> None:
    config = SimulationConfig(fault_rate=1, faults={"dropped": 0})

    assert config.strikes("answer_lost", "x")
    assert not config.strikes("dropped", "x")
    for wrong in ({"nonsense": 1.0}, {"dropped": 1.1}):
        with pytest.raises(ValueError, match=r"nonsense|dropped"):
            SimulationConfig(faults=wrong)


# What a key signed


def test_history_has_everything_once_newest_first_whatever_the_page(lab: ChainLab) -> None:
    good = bad(lab)
    sent = []
    for n in range(9):
        sent.append(lab.swap_transaction(good, f"order:{n}"))
        good.send(sent[-1].raw)
        lab.clock.pass_slots(n % 3 == 0)
    signer = str(lab.signer.pubkey())
    whole = good.history(signer)

    pages, before = [], None
    while page := good.history(signer, before=before, limit=2):
        pages += page
        before = page[-1].signature

    assert pages == list(whole)
    assert {each.signature for each in whole} == {each.signature for each in sent}
    assert [each.slot for each in whole] == sorted((each.slot for each in whole), reverse=True)
    assert good.history("another key") == ()
    with pytest.raises(Unavailable):
        good.history(signer, before="unknown")
    with pytest.raises(ValueError, match="1,000"):
        good.history(signer, limit=1_001)


def test_a_call_that_fails_leaves_the_fate_of_all_that_it_carried_unknown(lab: ChainLab) -> None:
    chain = lab.open(faults={"rpc_error": 1})
    node = SimulatedNode(chain, chain.config)
    sent = [lab.swap_transaction(chain, f"order:{n}") for n in (1, 2)]

    answers = node.send_many([each.raw for each in sent])

    assert [type(answer) for answer in answers] == [FateUnknown] * 2


def test_each_send_of_a_call_has_its_own_fate(lab: ChainLab) -> None:
    chain = lab.open(faults={"dropped": 0.5}, seed=3)
    node = SimulatedNode(chain, chain.config)
    sent = [lab.swap_transaction(chain, f"order:{n}") for n in range(20)]

    answers = node.send_many([each.raw for each in sent])

    assert answers == (None,) * 20
    landed = chain.transactions([each.signature for each in sent])
    assert 0 < sum(receipt is not None for receipt in landed) < 20
