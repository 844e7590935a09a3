"""Checkpoints: what was signed can't be rewritten in the database without the audit saying so."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from orders import checkpoint_log, checkpoints
from orders.audit.run import audit
from orders.exchange import TradingDesk
from orders.journal_sql import event_hash, wish_hash
from orders.models import Account, Order
from tests.audit.damage import as_superuser
from tests.checkpoints.troubles import troubles
from tests.factories import place
from tests.routing.lab import together

pytestmark = pytest.mark.django_db(transaction=True)


def signed_orders() -> set[str]:
    return {head[0] for line in checkpoint_log.read() for head in line.heads}


def give_an_early_id(late: Order) -> None:
    """As if its event had been given its id before all others, and been committed just now."""
    as_superuser(
        "UPDATE orders_orderevent SET id = (SELECT min(id) - 1 FROM orders_orderevent) WHERE order_id = %(id)s",
        id=late.id,
    )


def age_the_log() -> None:
    as_superuser("UPDATE orders_orderevent SET at = at - interval '1 hour'")


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

    first, second = checkpoint_log.read()
    assert len(first.heads) == 3
    assert [(head[0], head[1]) for head in second.heads] == [(str(later.id), 1)]
    assert (first.trouble, second.trouble) == (None, None)


def test_an_id_that_was_committed_late_is_found_by_the_next_checkpoint(
    order: Order, account: Account
) -> None:
    late = place(account)
    give_an_early_id(late)
    place(account)

    checkpoints.write()

    assert str(late.id) in signed_orders()


def test_a_late_commit_is_found_whatever_checkpoints_were_written_meanwhile(
    order: Order, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVENTS_AT_ONCE", 1)
    for _ in range(3):
        place(account)
        place(account)
        assert checkpoints.write() == 2
    late = place(account)
    give_an_early_id(late)

    assert checkpoints.write() == 1

    assert str(late.id) in signed_orders()
    assert checkpoints.write() == 0


def test_what_can_come_late_no_more_is_not_looked_at_again(order: Order, account: Account) -> None:
    age_the_log()
    place(account)
    checkpoints.write()

    newest = checkpoint_log.newest()

    assert newest.settled == newest.cursor - 1


def test_writing_ends_though_events_keep_coming(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVENTS_AT_ONCE", 1)
    append = checkpoint_log.append

    def append_under_load(*args: Any, **line: Any) -> checkpoint_log.Line:
        place(account)
        return append(*args, **line)

    monkeypatch.setattr(checkpoint_log, "append", append_under_load)
    for _ in range(3):
        place(account)

    assert checkpoints.write() == 3


def test_nobody_waits_for_another_writer(order: Order, account: Account) -> None:
    place(account)

    with checkpoint_log.alone(wait=False):
        assert checkpoints.write() == 0

    assert checkpoints.write() == 1


def test_of_a_long_file_only_the_end_is_read(
    order: Order, account: Account, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age_the_log()
    place(account)
    checkpoints.write()
    path = file_in(folder)
    path.write_bytes(b"x" * 1_000_000 + b"\n" + path.read_bytes())
    parsed: list[str] = []
    parse = checkpoint_log._parsed
    monkeypatch.setattr(
        checkpoint_log, "_parsed", lambda text, key: (parsed.append(text), parse(text, key))[1]
    )
    place(account)

    assert checkpoints.write() == 1

    assert parsed and max(map(len, parsed)) < 1_000_000


def test_many_events_take_several_checkpoints(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVENTS_AT_ONCE", 2)
    orders = [place(account) for _ in range(5)]

    assert checkpoints.write() == 3

    heads = [head[0] for line in checkpoint_log.read() for head in line.heads]
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
    age_the_log()

    assert "1 events up to" in troubles(desk)[0].detail


def test_a_log_that_was_never_signed_is_told(account: Account, desk: TradingDesk) -> None:
    place(account)
    age_the_log()

    assert "1 events up to" in troubles(desk)[0].detail


def test_the_audit_makes_no_key_and_misses_the_one_that_is_gone(
    order: Order, account: Account, desk: TradingDesk, settings: LazySettings
) -> None:
    settings.CHECKPOINT_KEY_FILE.unlink()

    assert "key.json does not exist" in troubles(desk)[0].detail

    place(account)
    with pytest.raises(checkpoint_log.NoKey):
        checkpoints.write()
    assert not settings.CHECKPOINT_KEY_FILE.exists()


def test_an_audit_without_checkpoints_needs_no_key(
    account: Account, desk: TradingDesk, settings: LazySettings
) -> None:
    assert audit(desk).ok
    assert not settings.CHECKPOINT_KEY_FILE.exists()


def test_what_others_write_into_the_files_misleads_no_writer(
    order: Order, account: Account, folder: Path
) -> None:
    forged = json.loads(file_in(folder).read_text()) | {"n": 9, "cursor": 10**9, "restoredTo": 0}
    with file_in(folder).open("a") as file:
        file.write(f"{json.dumps(forged)}\n\xff\n")
    place(account)

    assert checkpoints.write() == 1

    assert [line.trouble for line in checkpoint_log.read()] == [
        None,
        "is not signed by our key",
        "is no checkpoint",
        None,
    ]


def test_the_newest_checkpoint_is_named_so_that_it_can_be_missed(
    order: Order, account: Account, desk: TradingDesk, folder: Path
) -> None:
    named = audit(desk).as_json()["newestCheckpoint"]
    assert named == {"n": 1, "hash": sha256(file_in(folder).read_bytes()).hexdigest()}
    place(account)
    checkpoints.write()
    assert audit(desk).newest.previous == named["hash"]

    path = file_in(folder)
    path.write_text(path.read_text().splitlines(keepends=True)[0])

    assert audit(desk).newest.n == 1


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
    assert [line.trouble for line in checkpoint_log.read()] == [None]


def test_a_new_day_is_a_new_file_of_the_same_chain(
    order: Order, account: Account, folder: Path
) -> None:
    place(account)
    checkpoints.write(now=datetime(2030, 1, 1, tzinfo=UTC))

    assert len(list(folder.glob("*.jsonl"))) == 2
    assert [line.trouble for line in checkpoint_log.read()] == [None, None]


def test_a_clock_that_was_set_back_appends_to_the_newest_file(
    order: Order, account: Account, folder: Path
) -> None:
    place(account)
    checkpoints.write(now=datetime(2030, 1, 2, tzinfo=UTC))
    place(account)
    checkpoints.write(now=datetime(2030, 1, 1, tzinfo=UTC))

    assert not (folder / "2030-01-01.jsonl").exists()
    assert [line.trouble for line in checkpoint_log.read()] == [None] * 3


def test_the_key_is_made_once_and_for_us_alone(order: Order, settings: LazySettings) -> None:
    assert settings.CHECKPOINT_KEY_FILE.stat().st_mode & 0o777 == 0o600
