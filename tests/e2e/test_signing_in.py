"""From a closed door to the trading page, and out again."""

from collections.abc import Callable

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.e2e.visitor import Watch


def test_whoever_comes_signs_in_and_lands_where_they_wanted_to_go(
    visit: Callable[..., Page], member: User
) -> None:
    member.set_password("correct horse battery")
    member.save()
    page = visit()

    page.goto("/")
    page.get_by_label("User name").fill(member.username)
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("correct")

    page.get_by_label("Password").fill("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Trade", exact=True)).to_be_attached()

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_theme_that_was_chosen_stays(page: Page) -> None:
    page.goto("/")
    switch = page.get_by_role("button", name="Theme")
    switch.click()
    switch.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(switch).to_have_text("Theme: dark")


def test_an_address_that_does_not_exist_says_so(page: Page, watch: Watch) -> None:
    watch.allow("404")
    page.goto("/nowhere")

    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
