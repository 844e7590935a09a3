"""What the groups said a moment ago."""

from uuid import UUID, uuid4

import pytest

from orders.recent import RecentEvents
from orders.stream_log import Place
from orders.subscription import Line


def line(order_id: UUID, seq: int, *, account_id: int = 1) -> Line:
    return Line(account_id, order_id, seq, seq == 5, f"event {seq}")


@pytest.fixture
def recent() -> RecentEvents:
    return RecentEvents(most_orders=2)


def test_an_order_is_known_as_far_as_it_was_heard(recent: RecentEvents) -> None:
    order_id = uuid4()
    for seq in (1, 2, 2, 1, 3):
        recent.hear(line(order_id, seq))

    # An order begins once: what comes twice is no news.
    assert recent.place_of(order_id) == Place(1, 3, is_final=False)
    assert recent.lines_after(order_id, 1) == [line(order_id, 2), line(order_id, 3)]
    assert recent.lines_after(order_id, 3) == []
    assert recent.lines_after(order_id, 4) is None


def test_an_order_with_a_gap_is_forgotten(recent: RecentEvents) -> None:
    order_id = uuid4()
    for seq in (1, 3, 4):
        recent.hear(line(order_id, seq))

    assert recent.place_of(order_id) is None
    assert recent.lines_after(order_id, 0) is None


def test_an_order_that_was_not_heard_from_the_beginning_is_not_known(recent: RecentEvents) -> None:
    order_id = uuid4()
    recent.hear(line(order_id, 2))

    assert recent.place_of(order_id) is None


def test_the_oldest_go_first_and_an_account_goes_as_a_whole(recent: RecentEvents) -> None:
    orders = [uuid4() for _ in range(3)]
    for account_id, order_id in enumerate(orders):
        recent.hear(line(order_id, 1, account_id=account_id))

    assert [recent.place_of(order_id) is not None for order_id in orders] == [False, True, True]
    recent.forget(1)
    assert [recent.place_of(order_id) is not None for order_id in orders] == [False, False, True]
