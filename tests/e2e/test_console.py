"""The console in a browser: under the strict policy, on a desk and on a phone, and an order that is cancelled there."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect

from orders import journal, roles
from orders.lifecycle import Status
from orders.models import Account, Order
from tests.e2e.steps import serious_violations
from tests.e2e.visitor import DESKTOP, MOBILE
from tests.factories import move, new_order

ORDERS = "/admin/orders/order/"
PAGES = [
    "/admin/",
    ORDERS,
    f"{ORDERS}?saved=failed_today",
    f"{ORDERS}{{order}}/change/",
    f"{ORDERS}{{order}}/doubt/",
    f"{ORDERS}{{order}}/log/",
    f"{ORDERS}{{order}}/history/",
    f"{ORDERS}cancel/?id={{order}}",
    f"{ORDERS}requeue/?id={{order}}",
    "/admin/orders/resolution/",
    "/admin/orders/venuestate/",
    "/admin/orders/account/",
    "/admin/orders/apikey/",
    "/admin/orders/apikey/add/",
    "/admin/orders/member/add/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/user/{user}/change/",
    "/admin/auth/group/add/",
    "/admin/admin/logentry/",
    "/admin/password_change/",
]

FORMS_OF_DJANGO = (
    "/admin/orders/apikey/add/",
    "/admin/orders/member/add/",
    "/admin/auth/user/add/",
    "/admin/auth/user/{user}/change/",
    "/admin/auth/group/add/",
)


@pytest.fixture
def somebody() -> User:
    """Who may see and do everything."""
    return User.objects.create_superuser(f"root-{uuid4()}", password="x")


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (MOBILE, "light")]
)
def test_every_page_keeps_to_the_policy_and_to_its_width(
    visit: Callable[..., Page],
    somebody: User,
    doubtful: Order,
    size: dict[str, int],
    scheme: str,
) -> None:
    """What a page complains of ends the test: see `watch`."""
    page = visit(user=somebody, size=size, scheme=scheme)

    for address in PAGES:
        page.goto(address.format(order=doubtful.id, user=somebody.pk))
        expect(page.locator(".bar")).to_be_visible()
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    visit: Callable[..., Page], somebody: User, doubtful: Order, scheme: str
) -> None:
    """On what is ours: Django's forms for users and its choice among many have names that axe can't see."""
    page = visit(user=somebody, scheme=scheme)

    for address in (each for each in PAGES if each not in FORMS_OF_DJANGO):
        page.goto(address.format(order=doubtful.id, user=somebody.pk))
        assert serious_violations(page) == [], address


def test_the_console_s_own_scripts_work_under_the_policy(
    visit: Callable[..., Page], somebody: User, account: Account
) -> None:
    page = visit(user=somebody)

    page.goto("/admin/orders/apikey/add/")
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill(account.name)
    page.get_by_role("option", name=account.name).click()
    page.get_by_label("Label").fill("bot")
    page.get_by_role("button", name="Save").click()

    expect(page.locator(".messagelist")).to_contain_text(re.compile(r"oee_[\w-]{43}"))


def test_the_theme_is_the_one_of_all_pages(visit: Callable[..., Page], somebody: User) -> None:
    page = visit(user=somebody, scheme="light")
    page.goto("/admin/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)

    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()

    assert page.evaluate(ground) != light
    page.goto("/admin/orders/order/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_an_operator_cancels_what_they_ticked_in_the_list(
    visit: Callable[..., Page], account: Account
) -> None:
    roles.bring_up_to_date()
    operator = User.objects.create_user(f"olga-{uuid4()}", is_staff=True)
    operator.groups.add(Group.objects.get(name=roles.OPERATOR))
    (accepted,) = journal.accept([new_order(account)])
    assert isinstance(accepted, journal.Event)
    order = Order.objects.get(id=accepted.order_id)
    move(order, Status.ROUTING, due_in_s=86_400.0)
    page = visit(user=operator)

    page.goto(f"{ORDERS}?q={account.name}")
    page.locator("tr", has_text=str(order.id)).get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option("cancel")
    page.get_by_role("button", name="Run the selected action").or_(
        page.get_by_role("button", name="Go", exact=True)
    ).first.click()
    page.get_by_label("Reason:").fill("The client phoned.")
    page.get_by_role("button", name="Cancel the order").click()

    expect(page.get_by_role("status").filter(has_text="Done for 1 of 1.")).to_be_visible()
    assert Order.objects.get(id=order.id).status == Status.CANCELLED
