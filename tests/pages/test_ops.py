"""What operators see at `/ops/`: who may, what is said first, and what one failure leaves of the rest."""

import re
import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from config.postgres.brief import brief_statements
from orders import accounts
from orders.lifecycle import Status
from orders.models import Account, Order
from orders.pages import ops, panels
from orders.pages.ops import Board
from orders.pages.panels import TOO_SLOW, Panel
from orders.parts import Enquiry
from orders.venue_models import VenueState
from tests.admin.console import logged_in, order_page, staff, text_of
from tests.factories import become_due, move, order_at, place

OPS = "/ops/"
LIVE = {"X-Fragment": "1"}


@pytest.fixture(autouse=True)
def nothing_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test asks anew. Whether a worker listens on the tests' Redis is another test's business."""
    one_worker = Enquiry(lambda: ("worker@here",), every_s=60.0)
    one_worker.last(wait_s=5.0)
    monkeypatch.setattr(ops, "board", Board(workers=one_worker))


@pytest.fixture
def operator(db: None) -> Client:
    return staff(f"operator-{uuid4()}", "view_order")


def asked_anew(client: Client, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(ops, "board", Board(workers=ops.board.workers))
    return text_of(client.get(OPS))


def summary_of(response: HttpResponse) -> tuple[str, str]:
    """Its tone, and what it says."""
    found = re.search(
        r'<div class="notice (\w+) [^>]*id="ops-summary">(.*?)</div>',
        response.content.decode(),
        re.DOTALL,
    )
    assert found
    return found[1], " ".join(re.sub("<[^>]*>", " ", found[2]).split())


def doubtful(account: Account, *, minutes: int = 3) -> Order:
    order = order_at(Status.SUBMITTED, account)
    move(
        order,
        Status.SUBMITTED,
        in_doubt=True,
        next_check_in_s=5.0,
        message="The node has no history back to there.",
    )
    Order.objects.filter(id=order.id).update(
        in_doubt_since=timezone.now() - timedelta(minutes=minutes)
    )
    return order


# --- Who may


@pytest.mark.django_db
def test_whoever_has_not_signed_in_is_asked_to() -> None:
    answer = Client().get(OPS)

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in?next=/ops/")


@pytest.mark.django_db
def test_only_staff_who_may_view_orders_may_look() -> None:
    trader = logged_in(User.objects.create_user("trader"))
    clerk = staff("clerk", "view_account")

    for client in (trader, clerk):
        assert client.get(OPS).status_code == 403
        assert client.get(OPS, headers=LIVE).status_code == 403
    assert staff("auditor", "view_order").get(OPS).status_code == 200


@pytest.mark.django_db
def test_nothing_is_changed_there(operator: Client) -> None:
    assert operator.post(OPS).status_code == 405


# --- What is said


@pytest.mark.django_db
def test_where_nothing_is_wrong_one_sentence_says_so(operator: Client, account: Account) -> None:
    order_at(Status.CONFIRMED, account)

    answer = operator.get(OPS)

    assert summary_of(answer)[0] == "good"
    assert "Nothing needs you" in summary_of(answer)[1]
    text = text_of(answer)
    for sentence in (
        "In doubt No order is.",
        "Failed in the last 24 hours None.",
        "At another attempt now None.",
        "Nothing waits for a worker.",
    ):
        assert sentence in text


@pytest.mark.django_db
def test_what_needs_somebody_comes_first(operator: Client, account: Account) -> None:
    doubtful(account)
    order_at(Status.FAILED, account)
    order_at(Status.FAILED, account)

    tone, sentences = summary_of(operator.get(OPS))

    assert tone == "bad"
    assert sentences.startswith("1 order is in doubt: look at the chain")
    assert "2 orders failed in the last 24 hours." in sentences


@pytest.mark.django_db
def test_an_order_in_doubt_says_since_when_and_why_and_leads_to_its_page(
    operator: Client, account: Account
) -> None:
    order = doubtful(account, minutes=3)

    answer = operator.get(OPS)

    assert "3 min 1.5 SOL → USDC alice 1 The node has no history back to there." in re.sub(
        r"3 min \d s", "3 min", text_of(answer)
    )
    assert f'href="{order_page(order)}"' in answer.content.decode()


@pytest.mark.django_db
def test_a_failed_order_says_its_code_and_sentence(operator: Client, account: Account) -> None:
    order_at(Status.FAILED, account)

    assert "NO_QUOTE No venue quoted." in text_of(operator.get(OPS))


@pytest.mark.django_db
def test_the_lists_lead_to_all_of_them_in_the_console(
    admin_client: Client, account: Account
) -> None:
    doubt, failure = doubtful(account), order_at(Status.FAILED, account)
    page = admin_client.get(OPS).content.decode()

    for kind, order in (("doubt", doubt), ("failed", failure)):
        (address,) = re.findall(rf'id="ops-{kind}-all" href="([^"]*)"', page)
        listed = admin_client.get(address.replace("&amp;", "&")).context["cl"].result_list
        assert [each.id for each in listed] == [order.id]


@pytest.mark.django_db
def test_orders_that_no_worker_takes_are_told(operator: Client, account: Account) -> None:
    order = place(account)
    Order.objects.filter(id=order.id).update(due_at=timezone.now() - timedelta(minutes=2))

    answer = operator.get(OPS)

    assert summary_of(answer)[0] == "bad"
    assert "Orders wait for a worker: the oldest has been due for 2 min" in summary_of(answer)[1]
    assert f"The oldest, {order.id} , is pending" in text_of(answer)


@pytest.mark.django_db
def test_an_order_that_is_due_just_now_worries_nobody(operator: Client, account: Account) -> None:
    become_due(place(account))

    assert summary_of(operator.get(OPS))[0] == "good"


@pytest.mark.django_db
def test_a_venue_that_is_set_aside_is_told(operator: Client) -> None:
    now = timezone.now()
    VenueState.objects.create(venue="raydium", since=now, until=now + timedelta(minutes=1))

    answer = operator.get(OPS)

    assert summary_of(answer) == (
        "warn",
        "Raydium is set aside: orders go elsewhere until it answers again.",
    )
    assert "set aside until" in text_of(answer)


@pytest.mark.parametrize(
    ("heard", "sentence", "chip"),
    [
        ((), "No worker answers: orders are accepted, and wait.", "none answers"),
        (None, "", "can’t be asked without Redis"),
        (("one@a", "two@b"), "", "one@a two@b"),
    ],
)
@pytest.mark.django_db
def test_workers_are_shown_as_they_answer(
    operator: Client,
    monkeypatch: pytest.MonkeyPatch,
    heard: Any,
    sentence: str,
    chip: str,
) -> None:
    workers = Enquiry(lambda: heard, every_s=60.0)
    workers.last(wait_s=5.0)
    monkeypatch.setattr(ops, "board", Board(workers=workers))

    answer = operator.get(OPS)

    assert sentence in summary_of(answer)[1]
    assert chip in text_of(answer)


@pytest.mark.django_db
def test_redis_that_is_away_is_told(
    operator: Client, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    text = asked_anew(operator, monkeypatch)

    assert "Redis does not answer: orders go on" in text
    assert "Redis does not answer Workers" in text


@pytest.mark.django_db
def test_flower_is_linked_where_somebody_said_where_it_is(
    operator: Client, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.FLOWER_URL = ""
    assert "nobody said where it is" in asked_anew(operator, monkeypatch)

    settings.FLOWER_URL = "https://flower.example"
    page = operator.get(OPS).content.decode()
    assert 'href="https://flower.example"' in page
    assert 'href="https://flower.example/metrics"' in page


@pytest.mark.django_db
def test_figures_are_those_of_the_orders(operator: Client, account: Account) -> None:
    for status in (Status.CONFIRMED, Status.CONFIRMED, Status.FAILED, Status.PENDING):
        order_at(status, account)

    text = text_of(operator.get(OPS))

    assert "last minute 4 2 1 0" in text
    assert "From 3 orders that ended between" in text
    assert "Due, not taken by a worker 1" in text


# --- The page itself


@pytest.mark.django_db
def test_the_module_gets_the_live_part_alone(operator: Client) -> None:
    whole, live = (operator.get(OPS, headers=headers).content.decode() for headers in ({}, LIVE))

    assert live.count("<html") == 0
    assert whole.count('id="ops"') == live.count('id="ops"') == 1
    assert "no-store" in operator.get(OPS)["Cache-Control"]


@pytest.mark.django_db
def test_no_style_and_no_script_is_written_into_the_page(
    operator: Client, account: Account
) -> None:
    doubtful(account)
    order_at(Status.CONFIRMED, account)
    page = operator.get(OPS).content.decode()

    assert not re.search(r'<style|\sstyle="|\son\w+="|<script(?![^>]*\ssrc=)', page)


@pytest.mark.django_db
def test_every_id_is_there_once(operator: Client, account: Account) -> None:
    doubtful(account)
    order_at(Status.FAILED, account)
    ids = re.findall(r'\sid="([^"]*)"', operator.get(OPS).content.decode())

    assert sorted(ids) == sorted(set(ids))


@pytest.mark.django_db
def test_a_name_that_looks_like_markup_is_shown_as_it_is(operator: Client) -> None:
    order_at(Status.FAILED, accounts.create_account("<b>mallory</b>"))

    page = operator.get(OPS).content.decode()

    assert "&lt;b&gt;mallory&lt;/b&gt;" in page
    assert "<b>mallory" not in page


# --- What fails


@pytest.mark.django_db(transaction=True)
def test_a_question_that_takes_too_long_is_given_up_and_the_others_live(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_at(Status.FAILED, account)
    monkeypatch.setattr(panels, "STATEMENT_S", 1.0)
    blocking, may_end = threading.Event(), threading.Event()

    def block() -> None:
        try:
            with connections["default"].cursor() as cursor:
                cursor.execute("BEGIN; LOCK TABLE orders_venuetally IN ACCESS EXCLUSIVE MODE")
                blocking.set()
                may_end.wait(30)
                cursor.execute("ROLLBACK")
        finally:
            connections.close_all()

    blocker = threading.Thread(target=block)
    blocker.start()
    try:
        assert blocking.wait(10)
        answer = staff("operator", "view_order").get(OPS)
    finally:
        may_end.set()
        blocker.join()

    text = text_of(answer)
    assert f"last 5 minutes {TOO_SLOW}" in text
    assert text.count(TOO_SLOW) == 1
    assert "Some of this could not be read." in summary_of(answer)[1]
    assert "NO_QUOTE No venue quoted." in text


@pytest.mark.django_db
def test_a_question_that_the_database_refuses_says_so_and_the_others_live(
    operator: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_at(Status.FAILED, account)

    def misspelt() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    monkeypatch.setattr(
        ops, "board", Board(queue=Panel("queue", misspelt), workers=ops.board.workers)
    )

    text = text_of(operator.get(OPS))

    assert "The database refused this question" in text
    assert "NO_QUOTE No venue quoted." in text


# --- Several who look


def test_several_who_look_at_once_share_one_answer(db: None) -> None:
    asked: list[int] = []
    panel = Panel("how often", lambda: asked.append(1) or len(asked), good_for_s=60.0)

    assert [panel().answer for _ in range(3)] == [1, 1, 1]
    assert asked == [1]


def test_an_answer_is_good_for_its_time_only(db: None) -> None:
    asked: list[int] = []
    panel = Panel("how often", lambda: asked.append(1) or len(asked), good_for_s=0.0)

    assert [panel().answer for _ in range(3)] == [1, 2, 3]


@pytest.mark.django_db
def test_brief_statements_leave_a_callers_transaction_usable() -> None:
    with brief_statements(within_s=1.0), connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("1s",)
