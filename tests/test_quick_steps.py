"""Steps that are done at once are written together with the one that follows: fewer commits, the same log."""

from typing import Any

import pytest
from django.utils import timezone

from orders import inflight, intake, journal, steps, stream, turns
from orders.audit.run import audit
from orders.exchange import TradingDesk
from orders.execution import execute
from orders.journal import AttemptChange, Refused, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from orders.retries import MAX_ATTEMPTS
from orders.stream import Event
from tests.desks import listing_nothing, without
from tests.factories import (
    ALL_THE_WAY,
    become_due,
    move,
    order_at,
    place,
    retried,
    statuses,
    transition,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[list[Status]]:
    """What each statement of the journal led its orders to."""
    calls: list[list[Status]] = []
    record = journal.record

    def recording(transitions: list[Transition]) -> Any:
        if transitions:
            calls.append([each.status for each in transitions])
        return record(transitions)

    monkeypatch.setattr(journal, "record", recording)
    return calls


def test_an_order_takes_two_statements_and_skips_no_status(
    account: Account, desk: TradingDesk, written: list[list[Status]]
) -> None:
    order = place(account)

    execute([order.id], desk=desk)

    assert written == [[Status.SUBMITTED], [Status.CONFIRMED]]
    assert statuses(order) == ALL_THE_WAY
    attempt = OrderAttempt.objects.get(order=order)
    assert (attempt.number, attempt.state) == (1, AttemptState.CONFIRMED)
    assert attempt.venue and attempt.pool and attempt.signature and attempt.sent_at
    assert [quote["chosen"] for quote in attempt.quotes].count(True) == 1


def test_its_log_is_the_one_that_step_after_step_would_have_written(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = place(account)
    execute([together.id], desk=desk)
    monkeypatch.setattr(turns, "are_quick", lambda *waits: False)
    apart = place(account)
    execute([apart.id], desk=desk)

    first, second = (
        list(
            OrderEvent.objects.filter(order=order)
            .order_by("seq")
            .values_list("seq", "from_status", "status", "attempt", "message")
        )
        for order in (together, apart)
    )
    assert first == second
    details = [
        [sorted(event.details) for event in OrderEvent.objects.filter(order=o).order_by("seq")]
        for o in (together, apart)
    ]
    assert details[0] == details[1]


def test_every_event_is_announced_once_and_in_order(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = place(account)
    announced: list[Event] = []
    monkeypatch.setattr(stream, "publish", announced.extend)

    execute([order.id], desk=desk)

    logged = OrderEvent.objects.filter(order=order, seq__gt=1).order_by("seq")
    assert announced == [Event.from_row(row, account_id=account.pk) for row in logged]


def test_the_audit_finds_nothing_to_say(account: Account, desk: TradingDesk) -> None:
    for _ in range(3):
        execute([place(account).id], desk=desk)

    report = audit(desk)

    assert (report.ok, report.orders, report.events, report.landed) == (True, 3, 15, 3)


def test_an_order_that_is_cancelled_while_it_is_quoted_stays_cancelled(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, decide = place(account), steps.decide

    def cancel_and_decide(*args: Any) -> Any:
        intake.cancel_order(order.id, account_id=account.pk)
        return decide(*args)

    monkeypatch.setattr(steps, "decide", cancel_and_decide)

    execute([order.id], desk=desk)

    assert statuses(order) == ["pending", "cancelled"]
    assert not OrderAttempt.objects.exists()
    assert inflight.here.held() == []


def test_a_crash_on_the_way_leaves_the_order_as_it_was(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, build = place(account), steps._build

    def crash(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(steps, "_build", crash)
    with pytest.raises(MemoryError):
        execute([order.id], desk=desk)
    assert statuses(order) == ["pending"]

    monkeypatch.setattr(steps, "_build", build)
    become_due(order)
    execute([order.id], desk=desk)
    assert statuses(order) == ALL_THE_WAY


def test_an_attempt_that_comes_to_nothing_is_told_before_the_next_one_begins(
    account: Account, desk: TradingDesk, written: list[list[Status]]
) -> None:
    order = place(account)
    desk = without(desk, "raydium", "meteora")

    for _ in range(1, MAX_ATTEMPTS):
        assert retried(execute([order.id], desk=desk)) == [order.id]
        become_due(order)
    execute([order.id], desk=desk)

    assert statuses(order) == ["pending", *["routing"] * MAX_ATTEMPTS, "failed"]
    assert written[:2] == [[Status.ROUTING], [Status.ROUTING]]
    states = order.attempts.order_by("number").values_list("state", flat=True)
    assert list(states) == [AttemptState.FAILED] * MAX_ATTEMPTS


def test_an_order_that_can_go_nowhere_fails_in_one_statement(
    account: Account, desk: TradingDesk, written: list[list[Status]]
) -> None:
    order = place(account)

    execute([order.id], desk=listing_nothing(desk))

    assert written == [[Status.FAILED]]
    assert statuses(order) == ["pending", "routing", "failed"]
    attempt = OrderAttempt.objects.get(order=order)
    assert (attempt.state, attempt.error_code) == (AttemptState.FAILED, "NO_ROUTE")
    assert attempt.ended_at is not None


def test_each_order_of_a_batch_keeps_its_own_pace(account: Account, desk: TradingDesk) -> None:
    orders = [
        order_at(status, account) for status in (Status.PENDING, Status.ROUTING, Status.PENDING)
    ]
    Order.objects.update(due_at=timezone.now())

    execute([order.id for order in orders], desk=desk)

    assert [statuses(order) for order in orders] == [ALL_THE_WAY] * 3


def test_a_status_that_turns_out_slow_is_announced_from_then_on(
    account: Account,
    desk: TradingDesk,
    written: list[list[Status]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(turns._usual_s, "quotes", 10 * turns.WORTH_LEAVING_S)

    execute([place(account).id], desk=desk)

    assert written == [[Status.ROUTING], [Status.SUBMITTED], [Status.CONFIRMED]]


def test_steps_in_one_that_the_database_refuses_change_nothing(account: Account) -> None:
    order = place(account)
    both = transition(order, Status.ROUTING).then(leads_to(order, Status.SUBMITTED, seq=2))

    (outcome,) = journal.record([both])

    assert isinstance(outcome, Refused)
    assert statuses(order) == ["pending"]
    assert not OrderAttempt.objects.exists()


def test_a_writer_that_saw_an_older_event_writes_none_of_its_steps(account: Account) -> None:
    order = place(account)
    both = transition(order, Status.ROUTING).then(leads_to(order, Status.BUILDING, seq=2))
    move(order, Status.CANCELLED)

    assert journal.record([both]) == [None]
    assert statuses(order) == ["pending", "cancelled"]


def leads_to(order: Order, status: Status, *, seq: int) -> Transition:
    return Transition(
        order_id=order.id,
        from_status=Status.ROUTING,
        from_seq=seq,
        fence=order.fence,
        status=status,
        message=f"to {status}",
        due_in_s=5.0,
        attempt=AttemptChange(state=AttemptState.BUILT, venue="raydium"),
    )
