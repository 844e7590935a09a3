"""The audit finds what breaks a promise, names the order, and finds nothing where nothing is broken."""

import threading
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection

from orders import execution, inflight, settlement
from orders.audit.run import Report, audit
from orders.exchange import TradingDesk
from orders.models import Account, Order, OrderAttempt
from tests.audit.damage import as_superuser
from tests.desks import behind
from tests.factories import place, quoted
from tests.routing.lab import ChainLab

pytestmark = pytest.mark.django_db(transaction=True)


def found(report: Report) -> dict[str, list[str | None]]:
    return {
        check: [offender.order_id for offender in offenders]
        for check, offenders in report.offenders.items()
        if offenders
    }


def test_a_sound_database_has_no_offenders(order: Order, desk: TradingDesk) -> None:
    report = audit(desk)

    assert report.ok
    assert (report.orders, report.landed) == (5, 3)
    assert report.events == 3 * 5 + 1 + 2


@pytest.mark.parametrize(
    ("damage", "checks"),
    [
        (
            "UPDATE orders_orderevent SET message = 'x' WHERE order_id = %(id)s AND seq = 3",
            {"hashes"},
        ),
        (
            "UPDATE orders_orderevent SET details = '{}' WHERE order_id = %(id)s AND seq = 3",
            {"hashes"},
        ),
        (
            "UPDATE orders_orderevent SET at = at - interval '1 s' WHERE order_id = %(id)s AND seq = 1",
            {"hashes"},
        ),
        ("UPDATE orders_order SET amount_in_base = 1 WHERE id = %(id)s", {"hashes"}),
        ("UPDATE orders_order SET client_order_id = 'mine' WHERE id = %(id)s", {"hashes"}),
        (
            "DELETE FROM orders_orderevent WHERE order_id = %(id)s AND seq = 3",
            {"events", "hashes"},
        ),
        ("DELETE FROM orders_orderevent WHERE order_id = %(id)s AND seq = 5", {"heads"}),
        ("DELETE FROM orders_orderevent WHERE order_id = %(id)s", {"heads"}),
        (
            "DELETE FROM orders_order WHERE id = %(id)s",
            {"events", "hashes", "landed and known"},
        ),
        ("UPDATE orders_order SET last_seq = 6 WHERE id = %(id)s", {"heads"}),
        (
            "UPDATE orders_order SET status = 'failed', error_code = 'X' WHERE id = %(id)s",
            {"heads", "landed and confirmed"},
        ),
        (
            "DELETE FROM orders_orderattempt WHERE order_id = %(id)s",
            {"attempts", "landed and known"},
        ),
        (
            "INSERT INTO orders_orderattempt (order_id, number, state) VALUES (%(id)s, 2, 'quoting')",
            {"attempts", "proofs"},
        ),
        (
            "UPDATE orders_orderattempt SET signature = 'x' WHERE order_id = %(id)s",
            {"landed and known"},
        ),
        ("UPDATE orders_order SET tx_hash = 'x' WHERE id = %(id)s", {"confirmed and landed"}),
        (
            "UPDATE orders_order SET amount_out_base = 1 WHERE id = %(id)s",
            {"confirmed and landed"},
        ),
    ],
)
def test_damage_is_found_and_the_order_named(
    order: Order, desk: TradingDesk, damage: str, checks: set[str]
) -> None:
    as_superuser(damage, id=order.id)

    report = audit(desk)

    assert found(report).keys() == checks
    assert {order_id for ids in found(report).values() for order_id in ids} == {str(order.id)}


@pytest.fixture
def on_a_quote(account: Account, desk: TradingDesk) -> Order:
    """Confirmed, for what its client was quoted."""
    order = place(account, quote_id=quoted(account, desk).id)
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    assert order.status == "confirmed"
    return order


def test_orders_on_quotes_have_no_offenders(
    order: Order, on_a_quote: Order, desk: TradingDesk
) -> None:
    assert audit(desk).ok


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("quote_id = NULL, quote_expires_at = NULL", "is on no quote"),
        ("quote_id = '00000000-0000-0000-0000-000000000001'", "is on quote 00000000"),
        ("min_amount_out_base = min_amount_out_base - 1", "is on quote"),
        ("min_amount_out_base = amount_out_base + 1", "received"),
    ],
)
def test_an_order_that_is_not_what_was_quoted_is_found(
    order: Order, on_a_quote: Order, desk: TradingDesk, damage: str, told: str
) -> None:
    as_superuser(f"UPDATE orders_order SET {damage} WHERE id = %(id)s", id=on_a_quote.id)

    report = audit(desk)

    assert set(found(report)) == {"quotes"}
    assert set(found(report)["quotes"]) == {str(on_a_quote.id)}
    assert any(told in offender.detail for offender in report.offenders["quotes"])


def test_an_attempt_that_accepts_less_than_was_quoted_is_found(
    order: Order, on_a_quote: Order, desk: TradingDesk
) -> None:
    as_superuser(
        "UPDATE orders_orderattempt SET min_amount_out_base = min_amount_out_base - 1 WHERE order_id = %(id)s",
        id=on_a_quote.id,
    )

    assert found(audit(desk)) == {"quotes": [str(on_a_quote.id)]}


def test_an_order_that_nobody_looks_at_is_overdue(order: Order, desk: TradingDesk) -> None:
    waiting = Order.objects.get(status="pending")
    as_superuser(
        "UPDATE orders_order SET due_at = due_at - interval '2 min' WHERE id = %(id)s",
        id=waiting.id,
    )

    assert found(audit(desk)) == {"overdue": [str(waiting.id)]}


def test_a_second_swap_of_an_order_is_found(order: Order, desk: TradingDesk, lab: ChainLab) -> None:
    again = lab.swap_transaction(desk.chain, f"{order.id}:1", amount_in_base=2 * 10**9)  # type: ignore[arg-type]
    desk.chain.send(again.raw)

    report = audit(desk)

    assert found(report)["landed once"] == [str(order.id)]
    (unknown,) = report.offenders["landed and known"]
    assert unknown.detail == f"{again.signature} landed, of no attempt"


@pytest.fixture
def dead(account: Account, desk: TradingDesk, lab: ChainLab) -> OrderAttempt:
    """The first attempt of an order: proven dead, its bytes dropped by the node, and the next one under way."""
    dropping, node = behind(desk)
    node.drops_sends = True
    order = place(account)
    execution.execute([order.id], desk=dropping)
    lab.clock.pass_slots(200)
    settlement.settle(inflight.here.waiting(), desk=dropping)
    attempt = OrderAttempt.objects.get(order=order, number=1)
    assert attempt.state == "dead"
    return attempt


def test_a_swap_that_was_proven_dead_and_landed_is_found(
    dead: OrderAttempt, desk: TradingDesk, lab: ChainLab
) -> None:
    assert audit(desk).ok
    # As if the proof had been wrong: the swap landed, and the order's next attempt has not come that far.
    landed = lab.swap_transaction(desk.chain, str(dead))  # type: ignore[arg-type]
    desk.chain.send(landed.raw)
    as_superuser(
        "UPDATE orders_orderattempt SET signature = %(landed)s WHERE id = %(id)s",
        landed=landed.signature,
        id=dead.pk,
    )
    as_superuser("UPDATE orders_order SET status = 'submitted' WHERE id = %(id)s", id=dead.order_id)

    assert found(audit(desk))["proofs"] == [str(dead.order_id)]


@pytest.mark.parametrize(
    "forgery", ["""'{"kind": "made up"}'""", "proof || '{\"code\": 1}'", "proof - 'head'"]
)
def test_a_proof_of_death_that_was_replaced_is_found(
    dead: OrderAttempt, desk: TradingDesk, forgery: str
) -> None:
    as_superuser(f"UPDATE orders_orderattempt SET proof = {forgery} WHERE id = %(id)s", id=dead.pk)

    assert found(audit(desk)) == {"proofs": [str(dead.order_id)]}


def test_an_attempt_whose_death_the_log_does_not_tell_is_found(
    order: Order, desk: TradingDesk
) -> None:
    as_superuser(
        "UPDATE orders_orderattempt SET state = 'dead', proof = '{}' WHERE order_id = %(id)s",
        id=order.id,
    )

    details = [offender.detail for offender in audit(desk).offenders["proofs"]]

    assert "the log tells no such end of attempt 1" in details


def test_a_death_from_before_proofs_were_hashed_is_no_offence(
    dead: OrderAttempt, desk: TradingDesk
) -> None:
    as_superuser("UPDATE orders_orderevent SET details = details - 'proofHash'")

    assert "proofs" not in found(audit(desk))


def test_a_swap_without_an_order_is_found(order: Order, desk: TradingDesk, lab: ChainLab) -> None:
    for memo in ("00000000-0000-0000-0000-000000000001:1", "somebody else's"):
        desk.chain.send(lab.swap_transaction(desk.chain, memo).raw)  # type: ignore[arg-type]

    known = found(audit(desk))["landed and known"]

    assert known == unordered(["00000000-0000-0000-0000-000000000001", None])


def test_what_the_chain_has_forgotten_is_not_checked_and_no_offence(
    order: Order, desk: TradingDesk, lab: ChainLab
) -> None:
    lab.clock.pass_slots(400)
    assert desk.purge(10**9) == 3

    report = audit(desk)

    assert report.ok
    assert report.unchecked == 3
    assert report.as_json()["checks"][-1]["notChecked"] == 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "fault", ["lagging_node", "other_cluster", "no_history", "rpc_error", "rpc_timeout"]
)
def test_a_bad_day_of_the_chain_raises_no_false_alarm(
    order: Order, desk: TradingDesk, lab: ChainLab, fault: str, seed: int
) -> None:
    node = lab.node(seed=seed, faults={fault: 0.4}, lag_slots=150)

    report = audit(replace(desk, chain=node), sleep=lab.clock.sleep)

    assert report.ok
    assert (report.landed, report.unchecked) == (3, 0)


@pytest.mark.parametrize(
    "unlike", [{"genesis_hash": "another"}, {"first_available_slot": 10**9}, {"slot": 0}]
)
def test_a_null_of_a_node_that_would_not_know_accuses_nobody(
    order: Order, desk: TradingDesk, lab: ChainLab, unlike: dict[str, Any]
) -> None:
    answer = desk.chain.statuses(["unknown"] * 3, search_history=True)
    with (
        patch.object(desk.chain, "history", return_value=()),
        patch.object(desk.chain, "transactions", return_value=(None,) * 3),
        patch.object(desk.chain, "statuses", return_value=replace(answer, **unlike)),
    ):
        report = audit(desk, sleep=lab.clock.sleep)

    assert report.ok
    assert report.unchecked == 3


def test_what_can_still_land_accuses_nobody(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    execution.execute([order.id], desk=desk)
    as_superuser("UPDATE orders_order SET tx_hash = 'x' WHERE id = %(id)s", id=order.id)

    young = audit(desk, sleep=lambda seconds: None)
    lab.clock.pass_slots(200)

    assert (young.ok, young.unchecked) == (True, 1)
    assert found(audit(desk)) == {"confirmed and landed": [str(order.id)]}


def test_a_running_engine_raises_no_false_alarm(account: Account, desk: TradingDesk) -> None:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            execution.execute([place(account).id], desk=desk)
        connection.close()

    engine = threading.Thread(target=run)
    engine.start()
    try:
        reports = [audit(desk) for _ in range(15)]
    finally:
        stop.set()
        engine.join()

    assert [found(report) for report in reports] == [{}] * 15
    assert reports[-1].orders > reports[0].orders


def test_many_ranges_are_as_good_as_one(
    order: Order, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orders.audit.run.ORDERS_AT_ONCE", 2)
    as_superuser("UPDATE orders_orderevent SET message = 'x' WHERE seq = 1")

    assert len(found(audit(desk))["hashes"]) == 5


class unordered(list):  # type: ignore[type-arg]
    """Equal to a list of the same items in any order."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and sorted(map(str, self)) == sorted(map(str, other))
