"""Trading in a browser: the ticket, its quote, and the orders as they move."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, Route, expect

from orders.models import Account, Order
from tests.e2e.steps import CutLine, stopped, wait_for_the_end
from tests.e2e.visitor import MOBILE, Watch
from tests.engine import Worker
from tests.factories import HOPELESS, place


def rows(page: Page) -> Any:
    return page.locator("#blotter [role=row]")


def enter(page: Page, amount: str) -> None:
    """Type an amount, and wait for its quote."""
    page.get_by_label("You pay").fill(amount)
    expect(page.get_by_role("region", name="Quote")).to_contain_text("good for")


def test_an_order_is_placed_with_the_keyboard_alone_and_seen_confirmed(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    page.keyboard.press("n")
    page.keyboard.type("1.5")
    expect(page.get_by_role("region", name="Quote")).to_contain_text("good for")
    page.keyboard.press("Enter")

    expect(rows(page)).to_contain_text(["confirmed"])
    expect(rows(page)).to_contain_text([re.compile(r"1\.5 SOL → 2\d\d\.\d+ USDC")])
    expect(page.locator(".toasts")).to_contain_text("Confirmed: 1.5 SOL")

    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("confirmed")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/*")


def test_an_order_names_the_quote_that_was_seen(page: Page, account: Account) -> None:
    page.goto("/")
    enter(page, "2")
    page.get_by_role("button", name="Swap 2 SOL for USDC").click()

    expect(rows(page)).to_have_count(1)

    order = Order.objects.get(account=account)
    assert order.quote_id is not None
    assert (order.client_order_id or "").startswith("page-")


def test_a_quote_shows_the_way_its_costs_and_what_each_venue_would_pay(page: Page) -> None:
    page.goto("/")
    enter(page, "250")
    quote = page.get_by_role("region", name="Quote")

    for said in ("Price impact", "Venue fees", "Network fee", "Received at least", "Route"):
        expect(quote).to_contain_text(said)
    expect(quote.get_by_role("table").first).to_contain_text("chosen")
    expect(quote.get_by_role("table").first).to_contain_text("Raydium")
    expect(quote.get_by_role("table").first).to_contain_text("Meteora")
    expect(page.locator("#receive")).to_have_text(re.compile(r"^3\d,\d{3}\.\d+$"))


def test_what_was_typed_last_is_quoted_and_again_before_the_quote_ends(page: Page) -> None:
    asked: list[str] = []
    page.on(
        "request",
        lambda request: (
            asked.append(request.post_data or "") if "/api/quotes" in request.url else None
        ),
    )
    page.goto("/")
    page.get_by_label("You pay").press_sequentially("123", delay=20)
    expect(page.get_by_role("region", name="Quote")).to_contain_text("good for")
    assert '"amount":"123"' in asked[-1]
    so_far = len(asked)

    with page.expect_response("**/api/quotes"):
        pass

    assert len(asked) == so_far + 1
    assert asked[-1] == asked[-2]


def test_what_is_wrong_stands_at_its_field(page: Page, watch: Watch) -> None:
    watch.allow("400")
    page.goto("/")

    page.get_by_label("You pay").fill("a lot")

    expect(page.locator("#amount-error")).not_to_be_empty()
    expect(page.get_by_label("You pay")).to_have_attribute("aria-invalid", "true")

    page.get_by_label("You pay").fill("1")
    expect(page.locator("#amount-error")).to_be_empty()


def test_an_amount_that_no_pool_takes_says_so(page: Page, watch: Watch) -> None:
    watch.allow("422")
    watch.allow("503")
    page.goto("/")

    page.get_by_label("You pay").fill("999999999")

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).not_to_be_empty()


def test_tokens_are_found_by_typing_and_change_places(page: Page) -> None:
    page.goto("/")
    receive = page.get_by_role("combobox", name="Token to receive")
    receive.click()
    receive.fill("wif")
    receive.press("Enter")
    expect(receive).to_have_value("WIF")
    expect(page.locator("#price-chart")).to_contain_text("WIF")

    page.get_by_role("button", name="Swap the two tokens").click()
    expect(page.get_by_role("combobox", name="Token to pay")).to_have_value("WIF")
    expect(receive).to_have_value("SOL")

    receive.fill("wif")
    receive.press("Enter")  # it stands on the other side, which takes what was here
    expect(page.get_by_role("combobox", name="Token to pay")).to_have_value("SOL")

    receive.fill("nonsense")
    expect(page.get_by_text("No such token")).to_be_visible()
    receive.press("Escape")
    expect(receive).to_have_value("WIF")


def lose(route: Route) -> None:
    route.abort()


def cut(route: Route) -> None:
    route.fulfill(status=201, body='{"orderId": "01')


@pytest.mark.parametrize("spoil", [lose, cut])
def test_a_lost_answer_places_the_order_once(
    page: Page, account: Account, watch: Watch, spoil: Callable[[Route], None]
) -> None:
    watch.allow("ERR_FAILED")
    lost: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        response = route.fetch()
        if lost:
            route.fulfill(response=response)
        else:
            lost.append(response.text())
            spoil(route)

    page.route("**/api/orders/execute", lose_the_first_answer)
    page.goto("/")
    enter(page, "1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("it is placed once")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_be_hidden()
    assert Order.objects.filter(account=account).count() == 1


def double_click(page: Page) -> None:
    page.get_by_role("button", name="Swap 1 SOL for USDC").dblclick(delay=100)


def press_twice(page: Page) -> None:
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(1)  # the first is placed by then
    page.keyboard.press("Enter")


def hold_enter(page: Page) -> None:
    for _ in range(20):  # what is down already is repeated
        page.keyboard.down("Enter")
        page.wait_for_timeout(50)
    page.keyboard.up("Enter")


@pytest.mark.parametrize("press", [double_click, press_twice, hold_enter])
def test_a_double_click_and_an_enter_that_is_held_down_are_one_order(
    page: Page, account: Account, press: Callable[[Page], None]
) -> None:
    page.goto("/")
    enter(page, "1")

    press(page)
    page.wait_for_timeout(1_000)  # to press once more on purpose
    assert Order.objects.filter(account=account).count() == 1
    page.keyboard.press("Enter")

    expect(rows(page)).to_have_count(2)


def test_commas_stand_between_thousands_and_nowhere_else(page: Page, watch: Watch) -> None:
    watch.allow("400")
    page.goto("/")

    enter(page, "1,500")
    expect(page.get_by_role("button", name="Swap 1,500 SOL for USDC")).to_be_visible()
    page.get_by_label("You pay").fill("1,5")

    expect(page.locator("#amount-error")).not_to_be_empty()


def test_an_empty_slippage_is_no_slippage_of_nothing(page: Page, watch: Watch) -> None:
    watch.allow("400")
    page.goto("/")
    page.get_by_label("Other").check(force=True)

    page.get_by_label("Slippage limit in percent").fill("")
    page.get_by_label("You pay").fill("1")

    expect(page.locator("#slippageBps-error")).not_to_be_empty()


def test_whose_session_has_ended_is_told_so_and_led_to_sign_in(
    page: Page, member: User, watch: Watch
) -> None:
    watch.allow("401")
    page.goto("/?amount=2")
    expect(page.locator("#stream-state")).to_have_text("Live")

    Session.objects.all().delete()

    expect(page.locator("#stream-state")).to_have_text("Refused")
    expect(page.get_by_role("alert").filter(has_text="You are signed out")).to_have_count(1)
    page.get_by_role("link", name="Sign in again").click()
    page.wait_for_url("**/sign-in?next=%2F%3Famount%3D2")


def test_an_orders_age_is_the_engines_whatever_the_browsers_clock_says(
    page: Page, account: Account, worker: Worker
) -> None:
    page.add_init_script("{ const now = Date.now; Date.now = () => now() + 3_600_000 }")
    page.goto("/")
    with stopped(worker):
        place(account)

        expect(rows(page).locator(".number").nth(2)).to_have_text(re.compile(r"^\d+(\.\d)? s$"))


def test_a_page_that_is_open_for_days_keeps_the_newest_orders_and_those_that_run(
    page: Page,
) -> None:
    page.goto("/")

    kept = page.evaluate(
        """async () => {
            const { Orders } = await import("/static/app/orders.js");
            const orders = new Orders();
            for (let number = 0; number < 10_000; number += 1) {
                orders.hear({
                    type: "order.snapshot", orderId: String(number).padStart(9, "0"), seq: 5,
                    status: number === 7 ? "submitted" : "confirmed", createdAt: new Date(number * 1000).toISOString(),
                });
            }
            const all = orders.all();
            return { count: all.length, oldest: all.at(-1).orderId, hasOlder: orders.hasOlder };
        }"""
    )

    assert 2_000 <= kept["count"] < 2_300
    assert kept["oldest"] == "000000007"
    assert kept["hasOlder"]


def test_over_plain_http_from_elsewhere_it_trades_and_says_that_it_can_not_copy(
    page: Page, account: Account
) -> None:
    """There, browsers keep some things from pages."""
    page.add_init_script("delete Crypto.prototype.randomUUID; delete Navigator.prototype.clipboard")
    page.goto("/")
    enter(page, "1")

    page.keyboard.press("Enter")
    expect(rows(page)).to_contain_text(["confirmed"])
    page.goto(f"/orders/{Order.objects.get(account=account).id}")
    page.get_by_role("button", name="Copy the order id").click()

    expect(page.locator(".toasts")).to_contain_text("doesn’t let this page copy")


def test_an_order_is_cancelled_from_its_row(page: Page, account: Account, worker: Worker) -> None:
    page.goto("/")
    with stopped(worker):
        place(account)
        page.get_by_role("button", name="Cancel 1.5 SOL → USDC").click()

        expect(rows(page)).to_contain_text(["cancelled"])
        expect(page.get_by_role("button", name="Cancel 1.5 SOL → USDC")).to_have_count(0)


def test_a_cut_socket_says_so_comes_back_and_misses_nothing(page: Page, account: Account) -> None:
    line = CutLine()
    page.route_web_socket("**/ws/orders*", line.carry)
    page.goto("/")
    state = page.locator("#stream-state")
    expect(state).to_have_text("Live")
    before = place(account)
    expect(rows(page)).to_have_count(1)

    line.cut()
    expect(state).to_contain_text("Interrupted")
    meanwhile = place(account)
    for order in (before, meanwhile):
        wait_for_the_end(order, page)
    expect(rows(page)).to_have_count(1)
    line.mend()

    expect(state).to_have_text("Live")
    expect(rows(page)).to_contain_text(["confirmed", "confirmed"])


def test_orders_are_filtered_and_searched(page: Page, account: Account) -> None:
    place(account, client_order_id="findme")
    place(account, **HOPELESS)
    page.goto("/")
    expect(rows(page).filter(has_text="failed")).to_have_count(1, timeout=30_000)
    expect(rows(page).filter(has_text="confirmed")).to_have_count(1)

    page.get_by_role("button", name="Failed", exact=True).click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text([re.compile("[A-Z_]{6,}")])  # the code says why

    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("searchbox").fill("findme")
    expect(rows(page)).to_contain_text(["confirmed"])
    expect(page.locator("#blotter-count")).to_have_text("1 of 2 orders")

    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No order fits")).to_be_visible()


def test_older_orders_come_as_one_scrolls(page: Page, account: Account, worker: Worker) -> None:
    page.route_web_socket("**/ws/orders*", lambda socket: None)  # which would tell of new ones
    with stopped(worker):
        oldest = place(account, client_order_id="the-oldest")
        for _ in range(229):
            place(account)
        page.goto("/")
        expect(page.locator("#blotter-count")).to_have_text("50 orders; scroll down for older ones")
        assert rows(page).count() < 60

        page.locator("#blotter").evaluate("window => window.scrollTo(0, 1e6)")
        expect(page.locator("#blotter-count")).to_have_text("230 orders")
        page.locator("#blotter").evaluate("window => window.scrollTo(0, 1e6)")

        expect(page.locator(f"[data-id='{oldest.id}']")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nowhere"])
def test_nothing_is_wider_than_a_phone(
    visit: Callable[..., Page], member: User, watch: Watch, path: str
) -> None:
    watch.allow("404")
    page = visit(user=None if path == "/sign-in" else member, size=MOBILE)
    page.goto(path)

    width = page.evaluate("document.documentElement.scrollWidth")

    assert width <= MOBILE["width"]
