"""Checkpoints after a restore: nothing is signed on a log that has forgotten, until that is acknowledged."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import LazySettings
from django.core.management.base import CommandError
from django.db import connection

from orders import checkpoint_log, checkpoints, execution, reconciliation
from orders.audit.run import audit
from orders.exchange import TradingDesk
from orders.models import Account, Order
from tests import test_reconcile
from tests.audit.command import run_command as run_audit
from tests.audit.damage import as_superuser
from tests.checkpoints.troubles import troubles
from tests.factories import place
from tests.routing.lab import ChainLab
from tests.test_reconcile import restored_afterwards

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def forgotten() -> Iterator[None]:
    """What happens inside is signed, and lost by the database; ids go on as if they had never been given."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM orders_orderevent")
        (highest,) = cursor.fetchone()
    with restored_afterwards():
        yield
        assert checkpoints.write() > 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('orders_orderevent', 'id'), %s)", [highest]
        )


def reconcile(desk: TradingDesk, lab: ChainLab) -> reconciliation.Reconciled:
    return reconciliation.reconcile(desk, sleep=lambda seconds: lab.clock.pass_slots(20))


def test_nothing_is_signed_on_a_log_that_has_forgotten_what_was_signed(
    order: Order, account: Account, desk: TradingDesk
) -> None:
    with forgotten():
        lost = place(account)
    for _ in range(3):  # past the ids that were signed before
        place(account)

    assert checkpoints.write() == 0
    assert [offender.order_id for offender in troubles(desk)] == [str(lost.id)]


def test_after_reconcile_checkpoints_go_on_and_the_audit_tells_of_the_restore(
    order: Order, account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    kept = checkpoint_log.newest()
    waiting = place(account)
    with forgotten():
        for _ in range(5):
            place(account)
        assert checkpoints.write() == 1
        execution.execute([waiting.id], desk=desk)
        place(account)
    after = place(account)

    done = reconcile(desk, lab)

    assert (done.ok, done.signed_up_to) == (True, kept.cursor)
    assert checkpoints.write() == 1
    assert {str(waiting.id), str(after.id)} <= {head[0] for head in checkpoint_log.newest().heads}
    report = audit(desk)
    assert report.ok
    (note,) = report.notes
    assert f"signed after checkpoint {kept.n} (event {kept.cursor})" in note
    assert report.as_json()["notes"] == [note]


def test_a_restore_is_acknowledged_once(order: Order, account: Account) -> None:
    assert checkpoints.acknowledge_restore() is None
    with forgotten():
        place(account)

    assert checkpoints.acknowledge_restore() is not None
    assert checkpoints.acknowledge_restore() is None


def test_a_later_restore_may_go_back_behind_an_earlier_one(
    order: Order, account: Account, desk: TradingDesk
) -> None:
    kept = checkpoint_log.newest()
    with forgotten():
        place(account)
        checkpoints.write()
        with forgotten():
            place(account)
        checkpoints.acknowledge_restore()
        place(account)

    assert checkpoints.acknowledge_restore() == kept.cursor

    report = audit(desk)
    assert report.ok
    assert (len(report.notes), report.covered) == (2, 3)


def test_what_was_deleted_before_what_the_backup_kept_is_missed_all_the_same(
    order: Order, account: Account, desk: TradingDesk
) -> None:
    place(account)
    checkpoints.write()
    with forgotten():
        place(account)
    as_superuser("DELETE FROM orders_orderevent WHERE order_id = %(id)s", id=order.id)

    checkpoints.acknowledge_restore()

    assert [offender.order_id for offender in troubles(desk)] == [str(order.id)]


def test_a_database_that_has_forgotten_everything_is_signed_anew(
    account: Account, desk: TradingDesk
) -> None:
    with restored_afterwards():
        place(account)
        checkpoints.write()

    assert checkpoints.acknowledge_restore() == 0
    place(account)
    assert checkpoints.write() == 1
    assert audit(desk).ok


def test_the_commands_tell_of_the_restore(
    order: Order, account: Account, desk: TradingDesk, lab: ChainLab, settings: LazySettings
) -> None:
    settings.EXECUTION = "halted"
    with forgotten():
        place(account)

    code, text = test_reconcile.run_command(desk, lab)
    assert (code, "checkpoints go on from event" in text) == (0, True)
    code, text = run_audit(desk)
    assert (code, "the database was restored before" in text) == (0, True)
    assert "Newest checkpoint: 3 " in text


def test_reconcile_ends_with_2_when_the_key_is_gone(
    order: Order, desk: TradingDesk, lab: ChainLab, settings: LazySettings
) -> None:
    settings.EXECUTION = "halted"
    settings.CHECKPOINT_KEY_FILE.unlink()

    with pytest.raises(CommandError, match=r"key\.json does not exist") as failure:
        test_reconcile.run_command(desk, lab)

    assert failure.value.returncode == 2
