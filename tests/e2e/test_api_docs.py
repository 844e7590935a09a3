"""The API's own page, under the same policy as all others."""

from playwright.sync_api import Page, expect


def test_the_api_is_tried_out_from_its_page_as_the_one_who_signed_in(page: Page) -> None:
    page.goto("/api/docs")
    tokens = page.locator(".opblock", has_text="/api/tokens")
    tokens.locator(".opblock-summary-control").click()
    tokens.get_by_role("button", name="Try it out").click()
    tokens.get_by_role("button", name="Execute").click()

    expect(tokens.locator(".live-responses-table")).to_contain_text("USDC")


def test_what_changes_something_is_tried_out_too(page: Page) -> None:
    page.goto("/api/docs")
    tickets = page.locator(".opblock", has_text="/api/stream-tickets")
    tickets.locator(".opblock-summary-control").click()
    tickets.get_by_role("button", name="Try it out").click()
    tickets.get_by_role("button", name="Execute").click()

    expect(tickets.locator(".live-responses-table .response").first).to_contain_text("201")
