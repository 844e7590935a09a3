"""What a restored database learns from the chain: everything that landed, nothing that it knew better."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from unittest.mock import patch

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from orders import execution, inflight, intake, quoting, reconciliation
from orders.audit.run import audit
from orders.exchange import TradingDesk
from orders.models import Account, Order
from orders.reconciliation import Reconciled
from routing.errors import Unavailable
from routing.tokens import SOL, USDC
from tests.desks import behind
from tests.factories import place, statuses
from tests.routing.lab import ChainLab

pytestmark = pytest.mark.django_db(transaction=True)

BACKUPS = count()
TABLES = ("orders_order", "orders_orderattempt", "orders_orderevent", "orders_resolution")
CONFIRMED = ["pending", "routing", "building", "submitted", "confirmed"]


@contextmanager
def restored_afterwards() -> Iterator[None]:
    """What happens inside is forgotten by the database, as by one that is restored; the chain goes on."""
    backup = f"backup_{next(BACKUPS)}"
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"CREATE TABLE {backup}_{table} AS TABLE {table}")
    yield
    inflight.here.forget(inflight.here.held())
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(f"TRUNCATE {', '.join(TABLES)}")
        for table in TABLES:
            cursor.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {backup}_{table}")
            cursor.execute(f"DROP TABLE {backup}_{table}")
        cursor.execute("SET session_replication_role = DEFAULT")


def reconcile(desk: TradingDesk, lab: ChainLab) -> Reconciled:
    return reconciliation.reconcile(desk, sleep=lambda seconds: lab.clock.pass_slots(20))


def execute(order: Order, desk: TradingDesk) -> None:
    execution.execute([order.id], desk=desk)
    assert Order.objects.get(id=order.id).status == "confirmed"


def test_a_forgotten_swap_is_adopted_and_not_swapped_again(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    with restored_afterwards():
        execute(order, desk)
        tx_hash = Order.objects.get().tx_hash
    assert statuses(order) == ["pending"]

    done = reconcile(desk, lab)

    assert done.ok
    assert [receipt.signature for receipt in done.adopted] == [tx_hash]
    order.refresh_from_db()
    assert (order.tx_hash, statuses(order)) == (tx_hash, CONFIRMED)
    execution.execute([order.id], desk=desk)
    report = audit(desk)
    assert (report.ok, report.landed) == (True, 1)


def test_a_second_run_finds_nothing_to_do(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    with restored_afterwards():
        execute(order, desk)
    reconcile(desk, lab)

    again = reconcile(desk, lab)

    assert (again.ok, again.adopted, again.settled) == (True, [], [])


def test_an_order_that_was_being_built_is_adopted_from_there(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    with pytest.MonkeyPatch.context() as crash:
        crash.setattr(desk.chain, "simulate_many", lambda raws: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            execution.execute([order.id], desk=desk)
    assert statuses(order)[-1] == "building"
    Order.objects.update(due_at=order.created_at)
    with restored_afterwards():
        execute(order, desk)

    assert reconcile(desk, lab).ok
    assert statuses(order) == CONFIRMED


def test_a_later_attempt_that_landed_is_adopted_under_its_number(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    landed = lab.swap_transaction(desk.chain, f"{order.id}:3")  # type: ignore[arg-type]
    desk.chain.send(landed.raw)

    assert reconcile(desk, lab).ok

    order.refresh_from_db()
    assert (order.status, order.attempt, order.tx_hash) == ("confirmed", 3, landed.signature)
    states = order.attempts.order_by("number").values_list("state", "error_code")
    assert list(states) == [("failed", "FORGOTTEN")] * 2 + [("confirmed", "")]
    assert audit(desk).ok


def test_a_forgotten_swap_that_failed_on_chain_leads_to_the_next_attempt(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    greedy = lab.swap_transaction(desk.chain, f"{order.id}:1", min_amount_out_base=10**15)  # type: ignore[arg-type]
    desk.chain.send(greedy.raw)

    assert reconcile(desk, lab).ok

    order.refresh_from_db()
    assert (order.status, order.attempt) == ("routing", 2)
    first = order.attempts.get(number=1)
    assert (first.state, first.error_code) == ("dead", "SLIPPAGE_EXCEEDED")
    assert first.proof and first.proof["kind"] == "landed with an error"


def test_what_the_backup_knows_to_be_sent_is_settled_by_its_signature(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    lost_answer, node = behind(desk)
    node.is_down = True
    order = place(account)
    execution.execute([order.id], desk=lost_answer)
    assert statuses(order)[-1] == "submitted"
    inflight.here.forget(inflight.here.held())
    Order.objects.update(due_at=order.created_at)

    done = reconcile(desk, lab)

    assert (done.ok, done.settled, done.adopted) == (True, [order.id], [])
    assert statuses(order)[-1] == "confirmed"


def test_what_cannot_be_read_is_in_doubt_and_not_settled(
    account: Account, desk: TradingDesk, lab: ChainLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_answer, node = behind(desk)
    node.is_down = True
    order = place(account, token_out="BONK")
    execution.execute([order.id], desk=lost_answer)
    inflight.here.forget(inflight.here.held())
    Order.objects.update(due_at=order.created_at)
    monkeypatch.setattr(quoting, "TOKENS", {"SOL": SOL, "USDC": USDC})

    done = reconcile(desk, lab)

    assert (done.ok, done.settled, done.in_doubt) == (False, [], [order.id])
    assert statuses(order)[-1] == "submitted"


def test_a_final_order_that_the_chain_contradicts_is_told_and_left_alone(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    intake.cancel_order(order.id, account_id=account.pk)
    desk.chain.send(lab.swap_transaction(desk.chain, f"{order.id}:1").raw)  # type: ignore[arg-type]

    done = reconcile(desk, lab)

    assert not done.ok
    assert f"{order.id} is cancelled" in done.contradictions[0]
    assert statuses(order) == ["pending", "cancelled"]


def test_a_swap_of_an_order_that_the_backup_never_saw_is_told(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    with restored_afterwards():
        order = place(account)
        execute(order, desk)

    done = reconcile(desk, lab)

    assert not done.ok
    assert [receipt.memo for receipt in done.unknown] == [f"{order.id}:1"]


def test_it_waits_until_whatever_was_signed_before_can_land_no_more(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = place(account)
    late = lab.swap_transaction(desk.chain, f"{order.id}:1")  # type: ignore[arg-type]
    steps: list[float] = []

    def sleep(seconds: float) -> None:
        steps.append(seconds)
        lab.clock.pass_slots(20)
        if len(steps) == 3:  # the process that the restore replaced had this on the wire
            desk.chain.send(late.raw)

    done = reconciliation.reconcile(desk, sleep=sleep)

    assert [receipt.signature for receipt in done.adopted] == [late.signature]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "fault", ["lagging_node", "other_cluster", "no_history", "rpc_error", "stale_read"]
)
def test_a_bad_day_of_the_chain_hides_no_forgotten_swap(
    account: Account, desk: TradingDesk, lab: ChainLab, fault: str, seed: int
) -> None:
    order = place(account)
    with restored_afterwards():
        execute(order, desk)
    # A node that is further behind than a transaction is valid doesn't know the swap at the end of the wait, either.
    node = lab.node(seed=seed, faults={fault: 0.3}, lag_slots=1_000, stale_slots=(1, 1_000))

    done = reconcile(replace(desk, chain=node), lab)

    assert (done.ok, len(done.adopted)) == (True, 1)
    assert statuses(order)[-1] == "confirmed"


@pytest.mark.parametrize("seed", range(4))
def test_what_was_on_the_wire_is_waited_for_by_the_clock_of_a_node_that_keeps_up(
    account: Account, desk: TradingDesk, lab: ChainLab, seed: int
) -> None:
    order = place(account)
    late = lab.swap_transaction(desk.chain, f"{order.id}:1")  # type: ignore[arg-type]
    steps: list[float] = []

    def sleep(seconds: float) -> None:
        steps.append(seconds)
        lab.clock.pass_slots(5)
        if len(steps) == 25:  # 125 slots later, of the 150 in which it can land
            desk.chain.send(late.raw)

    node = lab.node(seed=seed, faults={"lagging_node": 0.3}, lag_slots=150)
    done = reconciliation.reconcile(replace(desk, chain=node), sleep=sleep)

    assert [receipt.signature for receipt in done.adopted] == [late.signature]


def test_while_only_another_cluster_answers_it_is_not_finished(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    node = lab.node(faults={"other_cluster": 1})

    with pytest.raises(Unavailable, match="another cluster"):
        reconcile(replace(desk, chain=node), lab)


# The command, and what it needs


def run_command(desk: TradingDesk, lab: ChainLab) -> tuple[int, str]:
    out = io.StringIO()
    with (
        patch("orders.management.commands.reconcile.trading_desk", lambda: desk),
        patch(
            "orders.management.commands.reconcile.reconcile",
            lambda desk, **options: reconcile(desk, lab),
        ),
    ):
        try:
            call_command("reconcile", stdout=out)
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_refuses_while_execution_is_on(desk: TradingDesk, lab: ChainLab) -> None:
    with pytest.raises(CommandError, match="EXECUTION=halted"):
        run_command(desk, lab)


def test_the_command_tells_what_it_did_and_whether_execution_may_go_on(
    account: Account, desk: TradingDesk, lab: ChainLab, settings: LazySettings
) -> None:
    settings.EXECUTION = "halted"
    order = place(account)
    with restored_afterwards():
        execute(order, desk)

    code, text = run_command(desk, lab)

    assert code == 0
    assert "1 transactions adopted" in text
    assert f"{order.id}:1  landed" in text
    assert "Execution may go on" in text
