"""An order's page in a browser: live until the end, cut and resumed, cancelled, copied, and read by anybody."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone
from playwright.sync_api import Page, expect

from orders.lifecycle import Status
from orders.models import Account, Order
from tests.e2e.steps import CutLine, serious_violations, stopped, wait_for_the_end
from tests.e2e.visitor import DESKTOP, MOBILE, Watch
from tests.engine import Worker
from tests.factories import HOPELESS, move, order_at, place


def open_order(page: Page, order: Order) -> None:
    page.goto(f"/orders/{order.id}")


def test_an_order_is_followed_until_it_is_confirmed_without_a_reload(
    page: Page, account: Account, worker: Worker
) -> None:
    with stopped(worker):
        order = place(account)
        open_order(page, order)
        expect(page.locator("#stream-state")).to_have_text("Live")
        expect(page.locator("#sentence")).to_contain_text("a worker takes it up next")
        page.evaluate("window.isTheSamePage = true")

    expect(page.locator("#sentence")).to_contain_text("Sold 1.5 SOL for")
    expect(page.locator("#stream-state")).to_have_text("Complete")
    expect(page.locator("#log tbody tr")).to_have_count(5)
    expect(page.locator("#cancel")).to_have_count(0)
    expect(page).to_have_title(re.compile("1.5 SOL → USDC · confirmed"))
    assert page.evaluate("window.isTheSamePage")


def test_each_state_is_shown_as_it_comes(page: Page, account: Account, worker: Worker) -> None:
    with stopped(worker):
        order = place(account)
        open_order(page, order)
        expect(page.locator("#stream-state")).to_have_text("Live")

        for status, sentence in [
            (Status.ROUTING, "Asking the venues"),
            (Status.BUILDING, "Making the transaction"),
            (Status.SUBMITTED, "Sent as"),
            (Status.CONFIRMED, "Sold 1.5 SOL for"),
        ]:
            move(order, status)
            order.refresh_from_db()
            expect(page.locator("#sentence")).to_contain_text(sentence)


def test_what_runs_is_counted_and_its_bar_grows(
    page: Page, account: Account, worker: Worker
) -> None:
    with stopped(worker):
        open_order(page, place(account))
        timer = page.locator("#timers [data-since]")
        bar = page.locator("#bars rect").last
        before = timer.text_content() or ""

        expect(timer).not_to_have_text(before)
        expect(bar).to_have_attribute("width", "100%")
        expect(page.locator("#lifecycle tbody [data-since]").first).to_have_text(
            re.compile(r"^\d+\.\d s$")
        )


def test_a_cut_socket_says_so_and_comes_back_without_a_gap(page: Page, account: Account) -> None:
    line = CutLine()
    page.route_web_socket("**/ws/*", line.carry)
    order = place(account)
    open_order(page, order)
    line.cut()
    expect(page.locator("#stream-state")).to_contain_text("Interrupted, reconnecting")
    wait_for_the_end(order, page)

    line.mend()

    expect(page.locator("#sentence")).to_contain_text("Sold 1.5 SOL for")
    expect(page.locator("#stream-state")).to_have_text("Complete")
    seqs = page.locator("#log tbody tr td:first-child").all_text_contents()
    assert seqs == ["5", "4", "3", "2", "1"]


def test_a_cancel_asks_first_and_says_who_won(page: Page, account: Account, worker: Worker) -> None:
    with stopped(worker):
        order = place(account)
        open_order(page, order)
        page.get_by_role("button", name="Cancel order").click()
        dialog = page.get_by_role("dialog", name="Cancel this order?")
        expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        order.refresh_from_db()
        assert order.status == "pending"

        page.get_by_role("button", name="Cancel order").click()
        dialog.get_by_role("button", name="Cancel the order").click()

        expect(page.locator(".toasts")).to_contain_text("Cancelled before anything was sent.")
        expect(page.locator("#sentence")).to_contain_text("before anything was sent")
    order.refresh_from_db()
    assert order.status == "cancelled"


def test_a_cancel_that_comes_too_late_says_so(
    page: Page, account: Account, worker: Worker, watch: Watch
) -> None:
    watch.allow("409")
    with stopped(worker):
        order = place(account)
        page.route_web_socket("**/ws/*", lambda socket: None)  # the page hears nothing
        open_order(page, order)
    wait_for_the_end(order, page)

    page.get_by_role("button", name="Cancel order").click()
    page.get_by_role("button", name="Cancel the order").click()

    expect(page.locator(".toasts")).to_contain_text("Too late to cancel.")
    expect(page.locator("#sentence")).to_contain_text("Sold 1.5 SOL for")


@pytest.fixture
def sent(account: Account, worker: Worker) -> Order:
    """An order whose transaction was sent, and that no worker looks at again."""
    with stopped(worker):
        order = order_at(Status.SUBMITTED, account)
        Order.objects.filter(id=order.id).update(due_at=timezone.now() + timedelta(days=1))
    return order


def test_a_cancel_after_the_send_leaves_it_to_the_chain(page: Page, sent: Order) -> None:
    open_order(page, sent)

    page.get_by_role("button", name="Cancel order").click()
    page.get_by_role("button", name="Cancel the order").click()

    expect(page.locator(".toasts")).to_contain_text("the chain decides")
    expect(page.locator("#head")).to_contain_text("cancel requested")
    expect(page.locator("#sentence")).to_contain_text("A cancel was asked for after it was sent")


def test_a_doubt_has_a_clock_and_a_countdown(page: Page, sent: Order) -> None:
    in_doubt(sent)
    open_order(page, sent)

    expect(page.locator("#sentence")).to_contain_text("No node knows.")
    expect(page.locator("#timers")).to_contain_text(re.compile(r"In doubt for \d+\.\d s"))
    expect(page.locator("#timers")).to_contain_text(re.compile(r"Next look in 0\.\d s"))
    move(
        Order.objects.get(id=sent.id),
        Status.SUBMITTED,
        message="The chain answers again.",
        in_doubt=False,
        details={"inDoubt": None},
        due_in_s=86_400.0,
    )

    expect(page.locator("#sentence")).to_contain_text("It may still land until block height 150.")


def in_doubt(sent: Order) -> None:
    move(
        sent,
        Status.SUBMITTED,
        message="No node knows.",
        in_doubt=True,
        next_check_in_s=1.0,
        due_in_s=86_400.0,
    )


def test_a_failed_order_explains_itself(page: Page, account: Account) -> None:
    open_order(page, place(account, **HOPELESS))

    expect(page.locator("#sentence")).to_contain_text("the amount is so small")
    expect(page.locator("#sentence")).to_contain_text("Nothing was swapped.")
    expect(page.locator("#attempts")).to_contain_text("AMOUNT_TOO_SMALL")


def test_an_order_is_copied_as_curl_and_as_json(page: Page, account: Account) -> None:
    order = place(account)
    open_order(page, order)
    expect(page.locator("#stream-state")).to_have_text("Complete")

    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator(".toasts")).to_contain_text("Copied.")
    curl = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Copy as JSON").click()
    expect(page.locator(".toasts p")).to_have_count(2)
    document = json.loads(page.evaluate("navigator.clipboard.readText()"))

    assert "/api/orders/execute" in curl and "$KEY" in curl
    answer = page.evaluate(f"fetch('/api/orders/{order.id}').then(answer => answer.json())")
    assert document == answer


def test_what_is_open_stays_open_while_the_page_is_refreshed(
    page: Page, account: Account, worker: Worker
) -> None:
    with stopped(worker):
        open_order(page, place(account))
        page.locator("#document summary").click()

    expect(page.locator("#stream-state")).to_have_text("Complete")

    expect(page.locator("#json")).to_be_visible()
    expect(page.locator("#json")).to_contain_text('"status": "confirmed"')


def test_what_somebody_closed_stays_closed(page: Page, sent: Order) -> None:
    open_order(page, sent)
    page.locator("#attempt-1-summary").click()
    expect(page.locator("#sent-1")).to_be_hidden()

    in_doubt(sent)

    expect(page.locator("#sentence")).to_contain_text("No node knows.")
    expect(page.locator("#sent-1")).to_be_hidden()


def test_place_again_leads_to_a_ticket_that_is_filled_in(page: Page, account: Account) -> None:
    open_order(page, place(account))

    page.get_by_role("link", name="Place again").click()

    expect(page.get_by_label("You pay")).to_have_value("1.5")


def test_a_transaction_says_what_the_chain_says_and_leads_back(
    page: Page, account: Account
) -> None:
    open_order(page, place(account))
    expect(page.locator("#stream-state")).to_have_text("Complete")

    page.locator("#attempts a[href^='/transactions/']").click()
    expect(page.get_by_text("It landed in slot")).to_be_visible()
    page.get_by_role("link", name="To its order").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("1.5 SOL → USDC")


def test_staff_without_the_orders_socket_look_every_two_seconds(
    visit: Callable[..., Page], account: Account, worker: Worker
) -> None:
    auditor = User.objects.create_user(f"auditor-{account.pk}", is_staff=True)
    auditor.user_permissions.set(Permission.objects.filter(codename="view_order"))
    page = visit(user=auditor)
    with stopped(worker):
        open_order(page, place(account))
        expect(page.locator("#stream-state")).to_have_text("Looking every 2 s")
        expect(page.locator("#cancel")).to_have_count(0)

    expect(page.locator("#sentence")).to_contain_text("Sold 1.5 SOL for")
    expect(page.locator("#stream-state")).to_have_text("Complete")


@pytest.mark.parametrize("size", [MOBILE, DESKTOP])
def test_everything_fits_and_is_reached_with_the_keyboard(
    visit: Callable[..., Page],
    member: User,
    account: Account,
    worker: Worker,
    size: dict[str, int],
) -> None:
    order = place(account, amount_in_base=20_000 * 10**9)
    page = visit(user=member, size=size)
    wait_for_the_end(order, page)
    open_order(page, order)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]

    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))

    assert {"place-again", "copy-curl", "copy-json", "attempt-1-summary", "copy-id"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, MOBILE], ids=["desktop", "mobile"])
def test_axe_finds_nothing_serious_however_an_order_stands(
    visit: Callable[..., Page],
    member: User,
    account: Account,
    worker: Worker,
    sent: Order,
    size: dict[str, int],
    scheme: str,
) -> None:
    in_doubt(sent)
    divided, hopeless = place(account, amount_in_base=20_000 * 10**9), place(account, **HOPELESS)
    page = visit(user=member, size=size, scheme=scheme)
    for order in (divided, hopeless):
        wait_for_the_end(order, page)

    for order in (divided, hopeless, sent):
        open_order(page, order)
        assert serious_violations(page) == [], order.status
    page.locator("#cancel").click()
    assert serious_violations(page) == []
    page.goto(f"/transactions/{Order.objects.get(id=divided.id).tx_hash}")
    assert serious_violations(page) == []
