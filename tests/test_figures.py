"""What is derived of an order for people: its time, its attempts and its money, exact to the unit."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.utils import timezone

from orders import execution, figures, inflight, intake, settlement
from orders.exchange import TradingDesk
from orders.journal import AttemptChange
from orders.lifecycle import AttemptState, Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from orders.story.attempts import AttemptStory, attempt_story
from orders.story.money import cost_of
from orders.story.spans import Timeline, timeline
from tests.desks import Node, behind, without
from tests.factories import become_due, claim, move, order_at, place, sign
from tests.routing.lab import ChainLab

on_real_commits = pytest.mark.django_db(transaction=True)


def time_of(order: Order, *, now: datetime | None = None) -> Timeline:
    attempts = list(order.attempts.order_by("number"))
    return timeline(list(order.events.order_by("seq")), attempts, now=now or timezone.now())


def story_of(order: Order, number: int = 1) -> AttemptStory:
    order.refresh_from_db()
    return attempt_story(order, order.attempts.get(number=number), waits=False)


def execute(order: Order, desk: TradingDesk) -> Order:
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    return order


# --- Time -------------------------------------------------------------------------------------------------------------


@on_real_commits
def test_the_bars_together_are_all_of_an_orders_time(account: Account, desk: TradingDesk) -> None:
    order = execute(place(account), without(desk, "raydium", "meteora"))
    become_due(order)
    execute(order, desk)

    time = time_of(order)

    spans = [span for bar in time.bars for span in bar.spans]
    whole = order.updated_at - order.created_at
    assert sum((span.length for span in spans), timedelta()) == whole
    for earlier, later in pairwise(spans):
        assert earlier.ended_at == later.began_at
    assert [bar.outcome for bar in time.bars] == ["failed", "confirmed"]
    assert not time.is_running


@on_real_commits
def test_a_back_off_is_told_from_the_work_that_follows(account: Account, desk: TradingDesk) -> None:
    order = execute(place(account), without(desk, "raydium", "meteora"))
    event = order.events.latest("seq")
    wait = timedelta(seconds=event.details["nextAttemptInS"])
    assert timedelta(seconds=0.8) <= wait <= timedelta(seconds=1)
    assert order.due_at and abs(order.due_at - event.at - wait) < timedelta(milliseconds=1)

    waiting, working = (
        time_of(order, now=event.at + timedelta(seconds=later_s)).bars[1] for later_s in (0.5, 3)
    )

    assert [(span.kind, span.ended_at) for span in waiting.spans] == [("waiting", None)]
    assert [span.kind for span in working.spans] == ["waiting", "routing"]
    assert working.spans[0].length == wait
    assert working.spans[1].ended_at is None


@pytest.mark.django_db
def test_a_cancel_during_a_back_off_ends_the_wait(account: Account) -> None:
    order = order_at(Status.ROUTING, account)
    ended = AttemptChange(state=AttemptState.FAILED)
    move(order, Status.ROUTING, attempt=ended, details={"nextAttemptInS": 600})
    intake.cancel_order(order.id, account_id=account.pk)

    assert [span.kind for span in time_of(order).bars[1].spans] == ["waiting"]


@pytest.mark.django_db
def test_a_doubt_is_a_time_of_its_own_and_a_cancel_request_is_none(account: Account) -> None:
    order = order_at(Status.SUBMITTED, account)
    for change in (
        {"in_doubt": True, "next_check_in_s": 1.0},
        {"cancel_requested": True, "details": {"cancelRequested": True}},
        {"in_doubt": False, "details": {"inDoubt": None}},
    ):
        move(order, Status.SUBMITTED, **change)
        order.refresh_from_db()

    (bar,) = time_of(order).bars

    kinds = [span.kind for span in bar.spans]
    assert kinds == ["pending", "routing", "building", "submitted", "in_doubt", "submitted"]
    assert bar.spans[-1].ended_at is None
    assert len(bar.cells) == len(time_of(order).kinds) == 5
    assert [cell.since is not None for cell in bar.cells] == [False, False, False, True, False]


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.django_db
def test_an_order_has_a_timeline_at_every_status(account: Account, status: Status) -> None:
    order = order_at(status, account)

    time = time_of(order)

    assert [bar.attempt for bar in time.bars] == [1]
    assert time.is_running is not order.is_final
    assert bool(time.ticks) is order.is_final


def test_an_order_whose_events_are_of_one_instant_takes_no_width() -> None:
    at = timezone.now()
    events = [
        OrderEvent(seq=seq, status=status, attempt=attempt, at=at, details={})
        for seq, (status, attempt) in enumerate(
            [("pending", 0), ("routing", 1), ("cancelled", 1)], start=1
        )
    ]

    time = timeline(events, [], now=at)

    assert [span.width for span in time.bars[0].spans] == ["0%", "0%"]
    assert time.ticks == ()


# --- Attempts ---------------------------------------------------------------------------------------------------------


@on_real_commits
def test_the_chosen_way_comes_first_and_each_other_says_why_it_lost(
    account: Account, desk: TradingDesk
) -> None:
    story = story_of(execute(place(account), without(desk, "meteora")))

    chosen, *others = story.ways
    assert chosen.chosen and chosen.why == ""
    assert Decimal(chosen.out) - Decimal(chosen.costs) == Decimal(chosen.net)
    assert [way.chosen for way in others] == [False] * len(others)
    assert all(way.why for way in others)
    assert others[-1].error_code == "VENUE_DOWN"


@on_real_commits
def test_offers_below_the_limit_are_told_from_a_chosen_one(
    account: Account, desk: TradingDesk
) -> None:
    order = place(account)
    Order.objects.filter(id=order.id).update(min_amount_out_base=10**12)
    story = story_of(execute(order, desk))

    assert story.headline == "Nothing was sent: the price moved beyond the limit"
    assert story.ways[0].why == "The best, but below the least to accept"


@on_real_commits
def test_the_legs_of_a_divided_hop_stand_side_by_side(account: Account, desk: TradingDesk) -> None:
    story = story_of(execute(place(account, amount_in_base=20_000 * 10**9), desk))

    assert len(story.legs) > 1
    ends = [float(leg.x[:-1]) + float(leg.width[:-1]) for leg in story.legs]
    assert [leg.x for leg in story.legs][1:] == [f"{end:.2f}%" for end in ends[:-1]]
    assert ends[-1] == pytest.approx(100, abs=0.05)


@on_real_commits
def test_prices_stand_beside_each_other_highest_first(account: Account, desk: TradingDesk) -> None:
    story = story_of(execute(place(account), desk))

    prices = [Decimal(price.price) for price in story.prices]
    assert {price.name for price in story.prices} == {"market", "quoted", "executed", "limit"}
    assert prices == sorted(prices, reverse=True)
    assert (story.prices[0].x, story.prices[-1].x) == ("100.00%", "0.00%")


@pytest.mark.parametrize("amount_in_base", [3 * 10**9 // 2, 20_000 * 10**9])
@on_real_commits
def test_the_parts_of_a_cost_add_up_to_the_unit(
    account: Account, desk: TradingDesk, amount_in_base: int
) -> None:
    order = execute(place(account, amount_in_base=amount_in_base), desk)

    worth, *parts, received = story_of(order).parts

    def exact(amount: str) -> Decimal:
        return Decimal(amount.replace(",", "").replace("−", "-"))

    assert exact(worth.amount) + sum(exact(part.amount) for part in parts) == exact(received.amount)
    cost = cost_of(order, OrderAttempt.objects.get(order=order))
    assert cost and exact(received.amount) == Decimal(cost.received_base).scaleb(-6)
    assert {part.tone for part in parts} <= {"good", "bad", ""}


@pytest.fixture
def dropped(account: Account, desk: TradingDesk) -> tuple[Order, TradingDesk, Node]:
    desk, node = behind(desk)
    node.drops_sends = True
    sent = sign(claim(place(account)), desk=desk)
    inflight.here.wait_for([sent])
    return Order.objects.get(id=sent.order_id), desk, node


@on_real_commits
def test_a_proof_of_death_is_told_in_words(
    dropped: tuple[Order, TradingDesk, Node], lab: ChainLab
) -> None:
    order, desk, _ = dropped
    lab.clock.pass_slots(151 + 33)
    settlement.settle(inflight.here.waiting(), desk=desk)

    story = story_of(order)

    assert story.state == "dead"
    assert story.proof.startswith(f"It could land up to block height {story.last_valid}.")
    assert story.proof.endswith("did not know it: it can never land.")


@pytest.mark.parametrize("proof", [{"kind": "something new"}, {"kind": "expired unseen"}, {"x": 1}])
@pytest.mark.django_db
def test_a_proof_of_another_version_is_told_as_far_as_it_goes(
    account: Account, proof: dict[str, object]
) -> None:
    order = order_at(Status.SUBMITTED, account)
    dead = AttemptChange(state=AttemptState.DEAD, error_code="EXPIRED", proof=proof)
    move(order, Status.FAILED, attempt=dead)

    assert story_of(order).proof.startswith("It is proven dead")


@pytest.mark.django_db
def test_an_attempt_that_sent_nothing_proves_itself(account: Account) -> None:
    order = order_at(Status.ROUTING, account)
    move(order, Status.ROUTING)

    assert story_of(order).proof.startswith("No transaction of this attempt was ever sent")


# --- Figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decimal", "shown"),
    [
        ("0", "0"),
        ("1234567.8901", "1,234,567.8901"),
        ("-1234.5", "−1,234.5"),
        ("-0.000001", "−0.000001"),
    ],
)
def test_amounts_are_grouped_and_nothing_of_them_is_lost(decimal: str, shown: str) -> None:
    assert figures.grouped(decimal) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "0"),
        ("20000", "20,000"),
        ("208.759831", "208.759"),
        ("208.7", "208.70"),
        ("2534641.206736", "2,534,641.20"),
        ("0.000012349999", "0.0000123499"),
        ("0.999999999", "0.999999"),
        ("1000000000000000000000.019", "1,000,000,000,000,000,000,000.01"),
    ],
)
def test_rough_amounts_are_rounded_down_and_keep_their_whole_digits(value: str, shown: str) -> None:
    assert figures.rough(Decimal(value)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "at once"),
        (0.009, "at once"),
        (0.01, "0.01 s"),
        (0.999, "0.99 s"),
        (2.99, "2.9 s"),
        (59.9, "59 s"),
        (185, "3 min 5 s"),
        (7380, "2 h 3 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans_are_short_and_rounded_down(seconds: float, shown: str) -> None:
    assert figures.span(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(1, 10_000, "0.01 %"), (1, 10**9, "< 0.01 %"), (-1, 4, "−25 %"), (0, 5, "0 %"), (5, 0, "0 %")],
)
def test_shares_say_when_they_are_too_small_to_be_shown(part: int, whole: int, shown: str) -> None:
    assert figures.share(part, whole) == shown
