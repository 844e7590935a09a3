"""Two people end an order that is in doubt: with evidence, with reasons, in their own names, and only then."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import IntegrityError, ProgrammingError
from django.test import Client

from orders import intake, resolution
from orders.inflight import Sent
from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt, OrderEvent, Resolution
from tests.admin.console import ORDERS, on_real_commits, order_page, staff, text_of
from tests.factories import move, place, statuses

pytestmark = on_real_commits

GOOD = {"evidence": "explorer.example/tx/1", "reason": "The cluster was reset."}
SECOND = "I saw it, too."


@pytest.fixture
def doubtful(unsent: Sent) -> Order:
    order = Order.objects.get(id=unsent.order_id)
    come_into_doubt(order)
    return order


@pytest.fixture
def second(db: None) -> Client:
    return staff("second", "view_order", "resolve_order")


def come_into_doubt(order: Order) -> None:
    move(order, Status.SUBMITTED, message="No node knows.", in_doubt=True, next_check_in_s=1.0)
    order.refresh_from_db()


def come_out_of_doubt(order: Order) -> None:
    order.refresh_from_db()
    move(order, Status.SUBMITTED, in_doubt=False)
    order.refresh_from_db()


def page_of(order: Order) -> str:
    return f"{ORDERS}{order.id}/doubt/"


def propose(visitor: Client, order: Order, **answers: str) -> Any:
    return visitor.post(page_of(order), GOOD | {"do": "propose"} | answers, follow=True)


def decide(visitor: Client, order: Order, do: str, *, reason: str = SECOND) -> Any:
    """On what was proposed last."""
    proposed = Resolution.objects.latest("id")
    asked = {"do": do, "proposal": proposed.pk, "reason": reason}
    return visitor.post(page_of(order), asked, follow=True)


def end(first: Client, second: Client, order: Order, **answers: str) -> Any:
    propose(first, order, **answers)
    return decide(second, order, "confirm")


def test_only_an_order_in_doubt_offers_it_and_only_to_who_may(
    root: Client, auditor: Client, doubtful: Order, account: Account
) -> None:
    assert page_of(doubtful) in root.get(order_page(doubtful)).content.decode()
    assert page_of(doubtful) not in auditor.get(order_page(doubtful)).content.decode()
    other = place(account)
    assert page_of(other) not in root.get(order_page(other)).content.decode()


def test_without_the_permission_nothing_is_shown_and_nothing_changes(
    auditor: Client, root: Client, doubtful: Order
) -> None:
    propose(root, doubtful, outcome="dead")
    before = statuses(doubtful)

    assert auditor.get(page_of(doubtful)).status_code == 403
    assert propose(auditor, doubtful, outcome="dead").status_code == 403
    assert decide(auditor, doubtful, "confirm").status_code == 403

    assert statuses(doubtful) == before
    assert [each.state for each in Resolution.objects.all()] == ["open"]


def test_the_page_tells_what_is_known(root: Client, doubtful: Order) -> None:
    text = text_of(root.get(page_of(doubtful)))

    assert "No node knows." in text
    assert doubtful.tx_hash in text
    assert "Can land up to block height" in text


@pytest.mark.parametrize(("field", "most"), [("evidence", 4_000), ("reason", 1_000)])
def test_what_is_said_fits_into_an_event(
    root: Client, doubtful: Order, field: str, most: int
) -> None:
    refused = propose(root, doubtful, outcome="dead", **{field: "x" * (most + 1)})

    assert f"at most {most} characters" in text_of(refused)
    assert not Resolution.objects.exists()


def test_a_proposal_alone_changes_nothing_and_is_shown_to_the_second_person(
    root: Client, second: Client, doubtful: Order
) -> None:
    before = statuses(doubtful)

    assert "until somebody else confirms" in text_of(propose(root, doubtful, outcome="dead"))

    assert statuses(doubtful) == before
    shown = text_of(second.get(page_of(doubtful)))
    for told in ("Proposed by root", "it did not land, and never will", *GOOD.values()):
        assert told in shown
    assert "Confirm: end the order so" in shown
    assert "Confirm: end the order so" not in text_of(root.get(page_of(doubtful)))


@pytest.mark.parametrize("do", ["confirm", "reject"])
def test_not_even_a_superuser_decides_on_their_own_proposal(
    root: Client, doubtful: Order, do: str
) -> None:
    propose(root, doubtful, outcome="dead")

    assert "nobody confirms or rejects their own" in text_of(decide(root, doubtful, do))

    assert statuses(doubtful)[-1] == "submitted"


def test_the_database_refuses_a_proposal_that_one_person_decided(
    root: Client, doubtful: Order
) -> None:
    propose(root, doubtful, outcome="dead")
    changes = {"state": "confirmed", "decided_by": User.objects.get(), "decision_reason": "x"}

    with pytest.raises(IntegrityError, match="nobody_decides_their_own_proposal"):
        Resolution.objects.update(**changes, closed_at="2026-01-01T00:00Z")


def test_the_database_keeps_what_was_proposed(root: Client, doubtful: Order) -> None:
    propose(root, doubtful, outcome="dead")

    with pytest.raises(ProgrammingError, match="Cannot update"):
        Resolution.objects.update(evidence="another one")
    with pytest.raises(ProgrammingError, match="Cannot delete"):
        Resolution.objects.all().delete()


def test_what_never_landed_fails_with_the_evidence_as_its_proof(
    root: Client, second: Client, doubtful: Order
) -> None:
    assert "The order is failed now" in text_of(end(root, second, doubtful, outcome="dead"))

    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.error_code) == ("failed", resolution.CODE)
    assert (doubtful.error_retryable, doubtful.in_doubt_since) == (True, None)
    record = {"by": "root", **GOOD, "confirmedBy": "second", "confirmation": SECOND}
    attempt = OrderAttempt.objects.get(order=doubtful)
    assert (attempt.state, attempt.proof) == ("dead", {"kind": "operator"} | record)
    event = OrderEvent.objects.filter(order=doubtful).latest("seq")
    assert event.details["resolution"] == record
    assert event.details["error"]["code"] == resolution.CODE
    assert "root and second" in event.message


def test_the_console_s_log_has_an_entry_of_each_of_the_two(
    root: Client, second: Client, doubtful: Order
) -> None:
    end(root, second, doubtful, outcome="dead")

    proposed, confirmed = LogEntry.objects.filter(object_id=str(doubtful.id)).order_by("pk")
    assert (proposed.user.username, confirmed.user.username) == ("root", "second")
    assert GOOD["reason"] in proposed.change_message
    assert SECOND in confirmed.change_message


def test_what_was_to_be_cancelled_and_never_landed_is_cancelled(
    root: Client, second: Client, doubtful: Order
) -> None:
    propose(root, doubtful, outcome="dead")
    intake.cancel_order(doubtful.id, account_id=doubtful.account_id)

    decide(second, doubtful, "confirm")

    assert statuses(doubtful)[-1] == "cancelled"


def test_what_landed_is_confirmed_with_what_was_received(
    root: Client, second: Client, doubtful: Order, api_key: str, client: Client
) -> None:
    end(root, second, doubtful, outcome="landed", amount_out="235.5")

    doubtful.refresh_from_db()
    assert (doubtful.status, doubtful.amount_out_base) == ("confirmed", 235_500_000)
    shown = client.get(
        f"/api/orders/{doubtful.id}", headers={"Authorization": f"Bearer {api_key}"}
    ).json()
    assert (shown["amountOut"], shown["executedPrice"]) == ("235.5", "157")
    told = shown["events"][-1]["resolution"]
    assert (told["by"], told["confirmedBy"]) == ("root", "second")


def test_a_rejected_proposal_leaves_the_order_in_doubt_for_another_one(
    root: Client, second: Client, doubtful: Order
) -> None:
    propose(root, doubtful, outcome="dead")

    assert "stays in doubt" in text_of(decide(second, doubtful, "reject"))

    assert statuses(doubtful)[-1] == "submitted"
    assert "is rejected already" in text_of(decide(second, doubtful, "confirm"))
    end(root, second, doubtful, outcome="dead")
    assert [each.state for each in Resolution.objects.order_by("id")] == ["rejected", "confirmed"]


def test_who_proposed_it_can_withdraw_it_and_nobody_else(
    root: Client, second: Client, doubtful: Order
) -> None:
    propose(root, doubtful, outcome="dead")

    assert "Only who proposed it" in text_of(decide(second, doubtful, "withdraw"))
    assert "is withdrawn" in text_of(decide(root, doubtful, "withdraw"))

    assert "is withdrawn already" in text_of(decide(second, doubtful, "confirm"))


def test_one_proposal_is_open_at_a_time(root: Client, second: Client, doubtful: Order) -> None:
    propose(root, doubtful, outcome="dead")

    text = text_of(propose(second, doubtful, outcome="landed", amount_out="1"))

    assert "Somebody has proposed how this doubt ends already" in text
    assert Resolution.objects.count() == 1


def test_a_proposal_is_void_in_another_doubt_of_the_same_attempt(
    root: Client, second: Client, doubtful: Order
) -> None:
    propose(root, doubtful, outcome="dead")
    come_out_of_doubt(doubtful)
    assert "not in doubt" in text_of(decide(second, doubtful, "confirm"))
    come_into_doubt(doubtful)

    assert "about an earlier doubt" in text_of(decide(second, doubtful, "confirm"))
    assert "Propose it to somebody else" in text_of(second.get(page_of(doubtful)))
    end(second, root, doubtful, outcome="dead")

    assert statuses(doubtful)[-1] == "failed"
    assert [each.state for each in Resolution.objects.order_by("id")] == ["void", "confirmed"]


def test_a_proposal_for_another_order_is_not_decided_here(
    root: Client, second: Client, doubtful: Order, account: Account
) -> None:
    propose(root, doubtful, outcome="dead")

    text = text_of(decide(second, place(account), "confirm"))

    assert "There is no such proposal for this order" in text
    assert statuses(doubtful)[-1] == "submitted"


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"outcome": ""}, "This field is required"),
        ({"outcome": "landed"}, "Say how much was received"),
        ({"outcome": "landed", "amount_out": "0"}, "Say how much was received"),
        ({"outcome": "landed", "amount_out": "-1"}, "greater than or equal to 0"),
        ({"outcome": "landed", "amount_out": "much"}, "Enter a number"),
        ({"outcome": "landed", "amount_out": "1.0000001"}, "decimals"),
        ({"outcome": "landed", "amount_out": "9" * 30}, "too large"),
        ({"outcome": "dead", "amount_out": "1"}, "Nothing is received"),
        ({"outcome": "dead", "evidence": " "}, "This field is required"),
        ({"outcome": "dead", "reason": ""}, "This field is required"),
    ],
)
def test_a_proposal_that_makes_no_sense_is_refused_at_its_field(
    root: Client, doubtful: Order, answers: dict[str, str], complaint: str
) -> None:
    assert complaint in text_of(propose(root, doubtful, **answers))

    assert not Resolution.objects.exists()


@pytest.mark.parametrize("do", ["confirm", "reject"])
def test_a_decision_needs_a_reason(root: Client, second: Client, doubtful: Order, do: str) -> None:
    propose(root, doubtful, outcome="dead")

    assert "This field is required" in text_of(decide(second, doubtful, do, reason=" "))

    assert Resolution.objects.get().state == "open"


@pytest.mark.parametrize("do", ["", "delete"])
def test_what_is_no_choice_is_refused(root: Client, doubtful: Order, do: str) -> None:
    assert root.post(page_of(doubtful), {"do": do}).status_code == 400


@pytest.mark.parametrize("outcome", ["dead", "landed"])
def test_when_the_chain_was_first_nothing_is_changed(
    root: Client, second: Client, doubtful: Order, outcome: str
) -> None:
    propose(root, doubtful, outcome=outcome, amount_out="1" * (outcome == "landed"))
    move(doubtful, Status.CONFIRMED)
    before, entries = statuses(doubtful), LogEntry.objects.count()

    text = text_of(decide(second, doubtful, "confirm"))

    assert "Nothing was changed. The order is confirmed" in text
    assert statuses(doubtful) == before
    assert LogEntry.objects.count() == entries
    assert "void" in text_of(root.get(order_page(doubtful)))


def test_the_worker_that_was_asking_lets_go(
    root: Client, second: Client, doubtful: Order, unsent: Sent
) -> None:
    end(root, second, doubtful, outcome="dead")

    assert Order.objects.get(id=doubtful.id).fence == unsent.fence + 1


def test_proposals_are_listed_with_both_people(
    root: Client, second: Client, doubtful: Order
) -> None:
    end(root, second, doubtful, outcome="dead")

    for page in (order_page(doubtful), "/admin/orders/resolution/"):
        assert "root" in text_of(root.get(page)) and SECOND in text_of(root.get(page))
    for asked in ({"q": "root"}, {"q": "abc"}, {"q": str(doubtful.id)}, {"state__exact": "open"}):
        assert root.get("/admin/orders/resolution/", asked).status_code == 200
