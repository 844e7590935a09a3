"""Checkpoints: what was signed can't be rewritten in the database without the audit saying so."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection

from orders import checkpoints, execution, inflight
from orders.audit.run import Offender, audit
from orders.exchange import TradingDesk
from orders.journal_sql import event_hash, wish_hash
from orders.models import Account, Order, OrderEvent
from tests.factories import place
from tests.routing.lab import together
from tests.test_audit import as_superuser

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: LazySettings) -> Iterator[Path]:
    settings.CHECKPOINT_DIR = tmp_path / "checkpoints"
    settings.CHECKPOINT_KEY_FILE = tmp_path / "key.json"
    yield settings.CHECKPOINT_DIR
    inflight.here.forget(inflight.here.held())


@pytest.fixture
def order(account: Account, desk: TradingDesk) -> Order:
    """A confirmed order among three, all of them in a checkpoint."""
    orders = [place(account) for _ in range(3)]
    for each in orders:
        execution.execute(each.id, desk=desk)
    assert checkpoints.write() == 1
    return Order.objects.get(id=orders[1].id)


def troubles(desk: TradingDesk) -> list[Offender]:
    return audit(desk).offenders["checkpoints"]


def file_in(folder: Path) -> Path:
    (path,) = folder.glob("*.jsonl")
    return path


def rewrite(order: Order) -> None:
    """Change what an event says, and compute every hash anew, as a superuser who has read our code would."""
    as_superuser(
        "UPDATE orders_orderevent SET message = 'x' WHERE order_id = %(id)s AND seq = 3",
        id=order.id,
    )
    as_superuser(
        f"UPDATE orders_order o SET head_hash = {wish_hash('o')} WHERE id = %(id)s", id=order.id
    )
    for seq in range(1, order.last_seq + 1):
        as_superuser(
            f"UPDATE orders_orderevent e SET hash = {event_hash('o.head_hash', 'e')}"
            " FROM orders_order o WHERE o.id = e.order_id AND o.id = %(id)s AND e.seq = %(seq)s",
            id=order.id,
            seq=seq,
        )
        as_superuser(
            "UPDATE orders_order o SET head_hash = e.hash FROM orders_orderevent e"
            " WHERE e.order_id = o.id AND o.id = %(id)s AND e.seq = %(seq)s",
            id=order.id,
            seq=seq,
        )


def test_an_untouched_log_agrees_with_its_checkpoints(order: Order, desk: TradingDesk) -> None:
    report = audit(desk)

    assert report.ok
    assert report.covered == 3


def test_a_checkpoint_holds_what_is_new_and_nothing_twice(order: Order, account: Account) -> None:
    assert checkpoints.write() == 0

    later = place(account)
    assert checkpoints.write() == 1

    first, second = checkpoints.read()
    assert len(first.heads) == 3
    assert [(head[0], head[1]) for head in second.heads] == [(str(later.id), 1)]
    assert (first.trouble, second.trouble) == (None, None)


def test_an_id_that_was_committed_late_is_found_by_the_next_checkpoint(
    order: Order, account: Account
) -> None:
    late = place(account)
    highest = OrderEvent.objects.latest("id").id
    # As if it had been given its id before the first checkpoint, and been committed after it.
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id) - 1 FROM orders_orderevent")
        (early,) = cursor.fetchone()
    as_superuser(
        "UPDATE orders_orderevent SET id = %(early)s WHERE id = %(id)s", early=early, id=highest
    )
    place(account)

    checkpoints.write()

    assert str(late.id) in {head[0] for line in checkpoints.read() for head in line.heads}


def test_many_events_take_several_checkpoints(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVENTS_AT_ONCE", 2)
    orders = [place(account) for _ in range(5)]

    assert checkpoints.write() == 3

    heads = [head[0] for line in checkpoints.read() for head in line.heads]
    assert sorted(heads) == sorted(str(order.id) for order in orders)


def test_a_rewritten_chain_is_found_though_every_hash_is_right(
    order: Order, desk: TradingDesk
) -> None:
    rewrite(order)

    report = audit(desk)

    assert not report.offenders["hashes"] and not report.offenders["heads"]
    assert [offender.order_id for offender in report.offenders["checkpoints"]] == [str(order.id)]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM orders_orderevent WHERE order_id = %(id)s AND seq = 5",
        "DELETE FROM orders_orderevent WHERE order_id = %(id)s",
    ],
)
def test_what_was_deleted_is_missed(order: Order, desk: TradingDesk, damage: str) -> None:
    as_superuser(damage, id=order.id)

    assert [offender.order_id for offender in troubles(desk)] == [str(order.id)]


def test_a_checkpoint_that_was_changed_or_removed_is_found(
    order: Order, account: Account, desk: TradingDesk, folder: Path
) -> None:
    for _ in range(2):
        place(account)
        checkpoints.write()
    path = file_in(folder)
    lines = path.read_text().splitlines(keepends=True)

    document = json.loads(lines[0])
    document["heads"] = document["heads"][1:]
    path.write_text("".join([json.dumps(document) + "\n", *lines[1:]]))
    assert "not signed" in troubles(desk)[0].detail

    path.write_text("".join([lines[0], lines[2]]))
    assert "does not follow" in troubles(desk)[0].detail

    path.write_text("".join(lines[1:]))
    assert "does not follow" in troubles(desk)[0].detail

    path.write_text("nonsense\n" + "".join(lines))
    assert "is no checkpoint" in troubles(desk)[0].detail


def test_events_that_no_checkpoint_covers_in_time_are_told(
    order: Order, account: Account, desk: TradingDesk
) -> None:
    place(account)
    as_superuser("UPDATE orders_orderevent SET at = at - interval '1 hour'")

    assert "1 events up to" in troubles(desk)[0].detail


def test_a_torn_line_is_set_aside_and_no_alarm(
    order: Order, account: Account, desk: TradingDesk, folder: Path
) -> None:
    path = file_in(folder)
    with path.open("a") as file:
        file.write('{"at": "2026-')
    assert audit(desk).ok
    place(account)

    assert checkpoints.write() == 1

    assert audit(desk).ok
    assert path.with_suffix(".torn").read_text() == '{"at": "2026-'


def test_writers_at_the_same_time_write_one_chain(account: Account, desk: TradingDesk) -> None:
    place(account)

    def write() -> int:
        try:
            return checkpoints.write()
        finally:
            connection.close()

    assert sorted(together([write] * 4)) == [0, 0, 0, 1]
    assert [line.trouble for line in checkpoints.read()] == [None]


def test_a_new_day_is_a_new_file_of_the_same_chain(
    order: Order, account: Account, folder: Path
) -> None:
    place(account)
    checkpoints.write(now=datetime(2030, 1, 1, tzinfo=UTC))

    assert len(list(folder.glob("*.jsonl"))) == 2
    assert [line.trouble for line in checkpoints.read()] == [None, None]


def test_the_key_is_made_once_and_for_us_alone(order: Order, settings: LazySettings) -> None:
    assert settings.CHECKPOINT_KEY_FILE.stat().st_mode & 0o777 == 0o600
