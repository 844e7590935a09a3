"""Who may do what in the console, as each role meets it in a browser."""

from collections.abc import Callable
from uuid import uuid4

from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect

from orders import roles
from orders.lifecycle import Status
from orders.models import Order
from tests.e2e.visitor import Watch

ORDERS = "/admin/orders/order/"


def somebody(role: str) -> User:
    roles.bring_up_to_date()
    user = User.objects.create_user(f"{role}-{uuid4()}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def test_an_auditor_sees_everything_and_is_offered_nothing(
    visit: Callable[..., Page], watch: Watch, doubtful: Order
) -> None:
    watch.allow("403")
    page = visit(user=somebody(roles.AUDITOR))

    page.goto(f"{ORDERS}{doubtful.id}/change/")
    expect(page.get_by_role("link", name="Check the log")).to_be_visible()
    for offer in ("Cancel…", "Requeue…", "End the doubt…"):
        expect(page.get_by_role("link", name=offer)).to_have_count(0)
    page.goto(f"{ORDERS}cancel/?id={doubtful.id}")

    expect(page.get_by_role("heading", name="That is not yours to see")).to_be_visible()


def test_it_takes_two_operators_to_end_a_doubt(visit: Callable[..., Page], doubtful: Order) -> None:
    first, second = somebody(roles.OPERATOR), somebody(roles.OPERATOR)
    page = visit(user=first)
    page.goto(f"{ORDERS}{doubtful.id}/change/")
    page.get_by_role("link", name="End the doubt…").click()
    page.get_by_label("It did not land, and never will").check()
    page.get_by_label("Evidence").fill("The cluster of that day is gone.")
    page.get_by_label("Reason").fill("The client waits.")
    page.get_by_role("button", name="Propose it to somebody else").click()
    page.goto(f"{ORDERS}{doubtful.id}/doubt/")
    expect(page.get_by_text("Somebody else decides on it.")).to_be_visible()
    expect(page.get_by_role("button", name="Confirm: end the order so")).to_have_count(0)

    other = visit(user=second)
    other.goto(f"{ORDERS}{doubtful.id}/doubt/")
    expect(other.get_by_text("The cluster of that day is gone.")).to_be_visible()
    other.get_by_label("Reason").fill("I looked, too.")
    other.get_by_role("button", name="Confirm: end the order so").click()
    other.goto(f"/orders/{doubtful.id}")

    names = f"Ended by {first.username} and {second.username}"
    expect(other.locator("#sentence")).to_contain_text(names)
    assert Order.objects.get(id=doubtful.id).status == Status.FAILED
