"""The operations page, as somebody has it open all day: it follows the engine, and holds still where it is read."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import Page, Route, expect

from orders.models import Account
from tests.admin.console import order_page
from tests.e2e.steps import serious_violations
from tests.e2e.visitor import DESKTOP, MOBILE, Watch
from tests.engine import Worker
from tests.factories import HOPELESS, place

# Two looks of the page's module, and time for both answers.
SOON_MS = 10_000


@pytest.fixture
def operator(transactional_db: None) -> User:
    user = User.objects.create_user(f"operator-{uuid4()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_order"))
    return user


@pytest.fixture
def ops(visit: Callable[..., Page], operator: User, worker: Worker) -> Page:
    page = visit(user=operator)
    page.goto("/ops/")
    return page


def test_an_order_that_fails_appears_by_itself(ops: Page, account: Account) -> None:
    expect(ops.get_by_role("status").filter(has_text="Live")).to_be_visible()

    order = place(account, **HOPELESS)

    row = ops.locator(f"#failed-{order.id}")
    expect(row).to_contain_text("AMOUNT_TOO_SMALL", timeout=SOON_MS)
    expect(row.get_by_role("link")).to_have_attribute("href", order_page(order))


def test_what_is_focused_and_scrolled_stays_so(ops: Page, account: Account) -> None:
    for _ in range(15):
        place(account, **HOPELESS)
    newest = place(account, **HOPELESS)
    expect(ops.locator(f"#failed-{newest.id}")).to_be_attached(timeout=SOON_MS)
    link = ops.locator(f"#failed-link-{newest.id}")
    link.focus()
    rows = ops.locator("#ops-failed-rows")
    rows.evaluate("element => { element.scrollTop = 90; }")

    later = place(account, **HOPELESS)
    expect(ops.locator(f"#failed-{later.id}")).to_be_attached(timeout=SOON_MS)

    expect(link).to_be_focused()
    # The browser may keep the rows that are read in view, above which one was added; it goes nowhere else.
    assert rows.evaluate("element => element.scrollTop") >= 90


def test_while_it_is_paused_it_holds_still(ops: Page, account: Account) -> None:
    ops.get_by_role("button", name="Pause").click()
    expect(ops.get_by_role("status").filter(has_text="Paused")).to_be_visible()
    shown = ops.locator("#ops-summary time").inner_text()

    order = place(account, **HOPELESS)
    ops.wait_for_function(
        "shown => new Date() - new Date(document.querySelector('#ops-summary time').dateTime) > 5000",
        arg=shown,
    )
    assert ops.locator("#ops-summary time").inner_text() == shown

    ops.get_by_role("button", name="Go on").click()
    expect(ops.locator(f"#failed-{order.id}")).to_be_attached(timeout=SOON_MS)


def test_an_engine_that_does_not_answer_is_said_and_waited_for(ops: Page, watch: Watch) -> None:
    watch.allow("ERR_FAILED")
    watch.allow("Failed to load resource")

    def refuse(route: Route) -> None:
        route.abort()

    ops.route("**/ops/", refuse)
    expect(ops.get_by_role("status").filter(has_text="Interrupted, retrying")).to_be_visible(
        timeout=SOON_MS
    )

    ops.unroute("**/ops/", refuse)
    expect(ops.get_by_role("status").filter(has_text="Live")).to_be_visible(timeout=20_000)


def test_whoever_is_signed_out_meanwhile_is_asked_to_sign_in_again(ops: Page) -> None:
    ops.context.clear_cookies()

    expect(ops.get_by_role("heading", name="Sign in")).to_be_visible(timeout=SOON_MS)
    assert ops.url.endswith("/sign-in?next=/ops/")


@pytest.mark.parametrize("size", [DESKTOP, MOBILE])
def test_nothing_is_wider_than_the_window(
    visit: Callable[..., Page],
    operator: User,
    worker: Worker,
    account: Account,
    size: dict[str, int],
) -> None:
    order = place(account, **HOPELESS)
    page = visit(user=operator, size=size)
    page.goto("/ops/")

    expect(page.locator(f"#failed-{order.id}")).to_be_visible(timeout=SOON_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, MOBILE], ids=["desktop", "mobile"])
def test_axe_finds_nothing_serious(
    visit: Callable[..., Page],
    operator: User,
    worker: Worker,
    account: Account,
    size: dict[str, int],
    scheme: str,
) -> None:
    order = place(account, **HOPELESS)
    page = visit(user=operator, size=size, scheme=scheme)
    page.goto("/ops/")
    expect(page.locator(f"#failed-{order.id}")).to_be_visible(timeout=SOON_MS)

    assert serious_violations(page) == []
