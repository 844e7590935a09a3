"""Settlement: what counts as confirmed, what proves death, what stays in doubt, and what a cancel changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from orders import execution, inflight, intake, journal, leases, settlement
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.journal import Transition
from orders.lifecycle import AttemptState
from orders.models import Account, Order, OrderAttempt, OrderEvent
from orders.stream import rfc3339
from tests.desks import Node, behind
from tests.factories import claim, place, sign, statuses
from tests.routing.lab import ChainLab
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

FOR_EVER = 151 + 33  # slots until a transaction signed now is expired, and that is final


@pytest.fixture
def dropped(account: Account, desk: TradingDesk) -> tuple[Sent, TradingDesk, Node]:
    """A committed transaction that the chain never hears of, and the node that drops it."""
    desk, node = behind(desk)
    node.drops_sends = True
    sent = sign(claim(place(account)), desk=desk)
    settlement.send([sent], desk=desk)
    return sent, desk, node


def test_a_landing_is_confirmed_when_it_is_seen_and_not_before(
    account: Account, lab: ChainLab, open_desk: Callable[..., TradingDesk]
) -> None:
    desk = open_desk(swap_delay_ms=(2000, 2000))
    order = place(account)
    execution.execute([order.id], desk=desk)
    assert statuses(order)[-1] == "submitted"

    lab.clock.pass_slots(6)
    settled = settlement.settle(inflight.here.waiting(), desk=desk)

    assert settled.waiting == []
    assert statuses(order)[-1] == "confirmed"


def test_three_hundred_transactions_are_settled_in_two_questions(
    account: Account, lab: ChainLab, open_desk: Callable[..., TradingDesk]
) -> None:
    desk = open_desk(swap_delay_ms=(2000, 2000))
    orders = [place(account) for _ in range(300)]
    for order in orders:
        execution.execute([order.id], desk=desk)
    lab.clock.pass_slots(6)

    settlement.settle(inflight.here.waiting(), desk=desk)

    assert Order.objects.filter(status="confirmed").count() == 300


def test_a_transaction_that_can_still_land_is_sent_again(
    dropped: tuple[Sent, TradingDesk, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, node = dropped
    monkeypatch.setattr(settlement, "RESEND_EVERY_S", 0.0)
    node.drops_sends = False

    settled = settlement.settle([sent], desk=desk)
    settled = settlement.settle(settled.waiting, desk=desk)

    assert node.sent == [sent.signed_bytes] * 2
    assert statuses(sent.order_id)[-1] == "confirmed"


def test_a_node_in_trouble_is_not_asked_to_send_again_for_everyone(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, node = behind(desk)
    node.drops_sends = True
    for _ in range(5):
        execution.execute([place(account).id], desk=desk)
    monkeypatch.setattr(settlement, "RESEND_EVERY_S", 0.0)
    monkeypatch.setattr(settlement, "MAX_SENDS_PER_CALL", 2)
    node.sent.clear()

    settled = settlement.settle(inflight.here.waiting(), desk=desk)

    assert len(settled.waiting) == 5
    assert len(node.sent) == 2  # each call might cost a time-out; the others' turn comes


def test_an_expired_transaction_is_dead_only_once_the_expiry_is_final(
    dropped: tuple[Sent, TradingDesk, Node], lab: ChainLab
) -> None:
    sent, desk, _ = dropped
    lab.clock.pass_slots(FOR_EVER - 2)
    assert settlement.settle([sent], desk=desk).waiting == [sent]

    lab.clock.pass_slots(2)
    settled = settlement.settle([sent], desk=desk)

    assert [order_id for order_id, _ in settled.retries] == [sent.order_id]
    assert statuses(sent.order_id) == ["pending", "routing", "building", "submitted", "routing"]
    dead = OrderAttempt.objects.get(number=1)
    assert (dead.state, dead.error_code) == (AttemptState.DEAD, "EXPIRED")
    assert dead.proof and dead.proof["asked"]["searchTransactionHistory"] is True
    assert dead.proof["head"]["finalized_block_height"] > dead.last_valid_block_height


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"genesis_hash": "another cluster's"}, "another cluster"),
        ({"first_available_slot": 10**9}, "no history"),
    ],
)
def test_a_node_that_could_not_know_proves_nothing(
    dropped: tuple[Sent, TradingDesk, Node], lab: ChainLab, trouble: dict[str, object], reason: str
) -> None:
    sent, desk, node = dropped
    for name, value in trouble.items():
        setattr(node, name, value)
    lab.clock.pass_slots(FOR_EVER)

    settled = settlement.settle(settlement.settle([sent], desk=desk).waiting, desk=desk)

    order = Order.objects.get(id=sent.order_id)
    assert (order.status, order.attempt) == ("submitted", 1)
    assert order.in_doubt_since is not None
    assert statuses(order) == [
        "pending",
        "routing",
        "building",
        "submitted",
        "submitted",
    ]  # told once
    doubt = OrderEvent.objects.get(order=order, seq=5)
    assert reason in doubt.message
    assert set(doubt.details["inDoubt"]) == {"since", "nextCheckAt"}
    assert OrderAttempt.objects.get(order=order).state == AttemptState.IN_DOUBT

    node.genesis_hash = node.first_available_slot = None
    settlement.settle(settled.waiting, desk=desk)

    order.refresh_from_db()
    assert (order.status, order.attempt, order.in_doubt_since) == ("routing", 2, None)


def test_silence_of_thirty_seconds_is_doubt_and_an_answer_ends_it(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, node = behind(desk)
    node.is_down = True
    order = place(account)
    execution.execute([order.id], desk=desk)
    assert statuses(order)[-1] == "submitted"
    monkeypatch.setattr(settlement, "DOUBT_AFTER_SILENCE_S", 0.0)

    settled = settlement.settle(inflight.here.waiting(), desk=desk)
    assert Order.objects.get(id=order.id).in_doubt_since is not None

    node.is_down = False
    settlement.settle(settled.waiting, desk=desk)
    order.refresh_from_db()
    assert (order.status, order.in_doubt_since) == ("confirmed", None)


def test_an_answer_that_it_can_still_land_ends_the_doubt_and_the_log_says_so(
    dropped: tuple[Sent, TradingDesk, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, node = dropped
    node.is_down = True
    monkeypatch.setattr(settlement, "DOUBT_AFTER_SILENCE_S", 0.0)
    settlement.settle([sent], desk=desk)
    assert Order.objects.get(id=sent.order_id).in_doubt_since is not None

    node.is_down = False
    settled = settlement.settle([sent], desk=desk)

    assert settled.waiting == [sent]
    assert Order.objects.get(id=sent.order_id).in_doubt_since is None
    event = OrderEvent.objects.filter(order=sent.order_id).latest("seq")
    assert (event.status, event.details) == ("submitted", {"inDoubt": None})
    assert OrderAttempt.objects.get().state == AttemptState.SENT


def test_an_event_and_the_order_agree_on_since_when_it_is_in_doubt(
    dropped: tuple[Sent, TradingDesk, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, node = dropped
    node.is_down = True
    monkeypatch.setattr(settlement, "DOUBT_AFTER_SILENCE_S", 0.0)

    settlement.settle([sent], desk=desk)

    since = Order.objects.get(id=sent.order_id).in_doubt_since
    event = OrderEvent.objects.filter(order=sent.order_id).latest("seq")
    assert since and event.details["inDoubt"]["since"] == rfc3339(since)
    assert event.details["inDoubt"]["nextCheckAt"] > rfc3339(event.at)


def test_silence_ends_no_doubt(
    dropped: tuple[Sent, TradingDesk, Node], lab: ChainLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, node = dropped
    node.first_available_slot = 10**9  # a node without history: no proof
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([sent], desk=desk)
    since, node.sent = Order.objects.get().in_doubt_since, []

    node.is_down = True
    settled = settlement.settle([sent], desk=desk)

    assert settled.waiting == [sent]
    assert since is not None and Order.objects.get().in_doubt_since == since
    assert statuses(sent.order_id)[-2:] == ["submitted", "submitted"]
    assert node.sent == []  # and what has expired is not sent again


def test_who_takes_over_a_doubt_in_silence_keeps_it(
    dropped: tuple[Sent, TradingDesk, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, node = dropped
    node.is_down = True
    with monkeypatch.context() as patience:
        patience.setattr(settlement, "DOUBT_AFTER_SILENCE_S", 0.0)
        settlement.settle([sent], desk=desk)
    leases.release([sent.held])

    execution.execute([sent.order_id], desk=desk)

    assert statuses(sent.order_id).count("submitted") == 2
    assert Order.objects.get().in_doubt_since is not None


def test_a_lease_is_counted_from_before_it_was_written(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, record = claim(place(account)), journal.record
    now = [0.0]

    def record_and_sleep(transitions: Sequence[Transition]) -> Any:
        outcomes = record(transitions)
        now[0] += 100
        return outcomes

    monkeypatch.setattr(journal, "record", record_and_sleep)
    sleepy = replace(desk, monotonic=lambda: now[0])

    (sent,) = execution.advance([order], desk=sleepy, held_since=0.0).sents

    assert sent.lease_until == now[0] - 100 + settings.LEASE_S


def test_a_worker_that_slept_past_its_lease_sends_nothing(
    dropped: tuple[Sent, TradingDesk, Node],
) -> None:
    sent, desk, node = dropped
    node.sent.clear()
    asleep = replace(desk, monotonic=lambda: sent.lease_until + 0.001)

    settlement.send([sent], desk=asleep)
    settlement.settle([sent], desk=asleep)

    assert node.sent == []


def test_sending_again_is_no_answer(
    dropped: tuple[Sent, TradingDesk, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, node = dropped
    node.is_down = True
    monkeypatch.setattr(settlement, "RESEND_EVERY_S", 0.0)
    monkeypatch.setattr(settlement, "DOUBT_AFTER_SILENCE_S", 0.2)

    def ask_and_send_again() -> bool:
        settlement.settle([sent], desk=desk)
        return Order.objects.get(id=sent.order_id).in_doubt_since is not None

    wait_until(ask_and_send_again, timeout_s=5, what="doubt")
    assert len(node.sent) > 2


def test_a_cancel_after_submitted_changes_nothing_for_a_swap_that_lands(
    account: Account, lab: ChainLab, open_desk: Callable[..., TradingDesk]
) -> None:
    desk = open_desk(swap_delay_ms=(2000, 2000))
    order = place(account)
    execution.execute([order.id], desk=desk)
    assert intake.cancel_order(order.id, account_id=account.pk).cancel_requested_at is not None
    lab.clock.pass_slots(6)

    settled = settlement.settle(
        inflight.here.waiting(), desk=desk
    )  # doesn't know of the cancel's event
    settlement.settle(settled.waiting, desk=desk)

    assert statuses(order)[-3:] == ["submitted", "submitted", "confirmed"]


def test_a_cancel_after_submitted_ends_an_order_that_is_proven_dead(
    dropped: tuple[Sent, TradingDesk, Node], lab: ChainLab, account: Account
) -> None:
    sent, desk, _ = dropped
    intake.cancel_order(sent.order_id, account_id=account.pk)
    lab.clock.pass_slots(FOR_EVER)

    settlement.settle([sent], desk=desk)

    assert statuses(sent.order_id)[-2:] == ["submitted", "cancelled"]
    assert OrderAttempt.objects.get().state == AttemptState.DEAD


def test_who_lost_the_lease_lets_go(dropped: tuple[Sent, TradingDesk, Node], lab: ChainLab) -> None:
    sent, desk, _ = dropped
    leases.release([sent.held])
    lab.clock.pass_slots(FOR_EVER)

    assert settlement.settle([sent], desk=desk).waiting == []
    assert statuses(sent.order_id)[-1] == "submitted"
