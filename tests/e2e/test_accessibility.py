"""What axe finds on the pages, in both themes: nothing serious."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from orders.models import Account
from tests.e2e.steps import serious_violations
from tests.e2e.visitor import DESKTOP, MOBILE, Watch
from tests.engine import Worker
from tests.factories import HOPELESS, place


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, MOBILE], ids=["desktop", "mobile"])
def test_trading(
    visit: Callable[..., Page],
    member: User,
    account: Account,
    worker: Worker,
    size: dict[str, int],
    scheme: str,
) -> None:
    place(account)
    place(account, **HOPELESS)
    page = visit(user=member, size=size, scheme=scheme)
    page.goto("/")
    page.get_by_label("You pay").fill("250")
    expect(page.get_by_role("region", name="Quote")).to_contain_text("good for")
    page.get_by_role("combobox", name="Token to pay").click()

    assert serious_violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signing_in(visit: Callable[..., Page], scheme: str) -> None:
    page = visit(scheme=scheme)
    page.goto("/sign-in")
    page.get_by_label("User name").fill("nobody")
    page.get_by_label("Password").fill("nothing")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()

    assert serious_violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_not_there(
    visit: Callable[..., Page], member: User, watch: Watch, scheme: str
) -> None:
    watch.allow("404")
    page = visit(user=member, scheme=scheme)
    page.goto("/nowhere")

    assert serious_violations(page) == []
