"""The price chart in a browser: what it draws, that it follows, and what it says when it can't."""

import json
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, Request, Response, Route, expect

from tests.e2e.price_chart_page import open_chart
from tests.e2e.visitor import MOBILE, Watch

PRICES = "**/api/prices?*"
AWAY = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "code": "RPC_UNAVAILABLE",
    "detail": "The chain's node did not answer a moment ago.",
    "retryable": True,
}
# How many pixels of the drawing have each colour, as #rrggbb.
COLOURS = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const found = {};
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] !== 255) continue;
    const colour = "#" + [...data.slice(at, at + 3)].map((part) => part.toString(16).padStart(2, "0")).join("");
    found[colour] = (found[colour] ?? 0) + 1;
  }
  return found;
}"""
INK_LIGHT, INK_DARK = "#171a1f", "#e8ebef"


@pytest.fixture
def chart(page: Page) -> Iterator[Page]:
    """A page with a drawn chart of SOL/USDC."""
    open_chart(page)
    expect_drawn(page)
    yield page


def expect_drawn(page: Page) -> None:
    expect(figure(page)).to_have_attribute("aria-busy", "false")
    expect(figure(page).locator("canvas")).to_be_visible()
    expect(state(page)).to_be_empty()


def figure(page: Page) -> Locator:
    return page.locator("figure.price-chart")


def state(page: Page) -> Locator:
    return figure(page).get_by_role("status")


def price(page: Page) -> Locator:
    return page.locator(".price-now strong")


def range_button(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name="How far back").get_by_role(
        "button", name=name, exact=True
    )


def colours(page: Page) -> dict[str, int]:
    found: dict[str, int] = figure(page).locator("canvas").evaluate(COLOURS)
    return found


def wait_for_ink(page: Page, colour: str) -> None:
    drawing = "document.querySelector('figure canvas')"
    page.wait_for_function(f"colour => ({COLOURS})({drawing})[colour] > 100", arg=colour)


def query_of(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def show(page: Page, **wanted: Any) -> None:
    page.evaluate("wanted => window.chart.show(wanted)", wanted)


def away(route: Route) -> None:
    route.fulfill(
        status=503,
        body=json.dumps(AWAY),
        content_type="application/problem+json",
        headers={"Retry-After": "1"},
    )


def test_the_market_and_each_venue_are_drawn_and_said_in_text(chart: Page) -> None:
    expect(price(chart)).to_have_text(re.compile(r"^\d{2,3}\.\d{4,5}$"))
    expect(chart.locator(".price-now")).to_contain_text("USDC for 1 SOL")
    expect(chart.locator(".price-change")).to_have_text(re.compile(r"\d\.\d\d % in \d+ min$"))
    expect(range_button(chart, "15 min")).to_have_attribute("aria-pressed", "true")
    rows = chart.get_by_role("table").locator("tbody tr")
    expect(rows.get_by_role("rowheader")).to_have_text(["Raydium", "Meteora"])
    for row in rows.all():
        expect(row.get_by_role("cell")).to_have_text(
            [re.compile(r"^\d+\.\d+$")] * 2 + [re.compile(r"\d to [+−]?\d|^[+−]?\d")]
        )
    drawing = chart.get_by_role("img", name="Price of SOL in USDC over the last 15 min")
    expect(drawing).to_be_visible()
    assert colours(chart)[INK_LIGHT] > 100


def test_newer_points_are_asked_for_and_drawn(chart: Page) -> None:
    def brings_a_point(response: Response) -> bool:
        return "after" in query_of(response.request) and response.json()["points"] != []

    with chart.expect_response(brings_a_point) as brought:
        pass

    answer = brought.value.json()
    assert len(answer["points"]) == 1
    # To four places, whichever way the browser rounds half of one.
    cut = Decimal(answer["latest"]["reference"]).quantize(Decimal("0.0001"), ROUND_DOWN)
    expect(price(chart)).to_have_text(re.compile(f"^({cut}|{cut + Decimal('0.0001')})$"))
    # The next question is for what comes after that point.
    with chart.expect_request(PRICES) as asked:
        pass
    assert query_of(asked.value)["after"] == answer["points"][-1]["at"]


def test_nothing_is_asked_while_nobody_looks(page: Page) -> None:
    page.clock.install()
    open_chart(page)
    expect_drawn(page)
    seen: list[Request] = []
    page.on("request", lambda request: seen.append(request))
    look = """state => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""

    page.evaluate(look, "hidden")
    page.clock.run_for(60_000)
    assert seen == []

    with page.expect_request(PRICES) as asked:
        page.evaluate(look, "visible")
    assert "after" in query_of(asked.value)


def test_another_range_is_drawn_when_it_is_pressed(chart: Page) -> None:
    with chart.expect_request(PRICES) as asked:
        range_button(chart, "1 h").click()

    assert query_of(asked.value) == {"tokenIn": "SOL", "tokenOut": "USDC", "minutes": "60"}
    expect(chart.get_by_role("img", name="Price of SOL in USDC over the last 1 h")).to_be_visible()
    expect(range_button(chart, "1 h")).to_have_attribute("aria-pressed", "true")
    expect(range_button(chart, "15 min")).to_have_attribute("aria-pressed", "false")


def test_another_pair_is_drawn_over_the_same_range(chart: Page) -> None:
    range_button(chart, "5 min").click()

    show(chart, tokenIn="BONK", tokenOut="SOL")

    # So much of a cheap token that its price has no zeros in front.
    expect(chart.locator(".price-now")).to_contain_text("SOL for 1,000,000 BONK")
    expect(price(chart)).to_have_text(re.compile(r"^0\.[1-9]\d{6}$"))
    expect(
        chart.get_by_role("img", name="Price of BONK in SOL over the last 5 min")
    ).to_be_visible()


def test_a_pair_that_no_pool_trades_has_the_markets_line_only(chart: Page) -> None:
    show(chart, tokenIn="JUP", tokenOut="BONK")

    expect(figure(chart)).to_contain_text("No pool trades JUP for BONK directly")
    expect(chart.get_by_role("table")).to_be_hidden()
    assert colours(chart)[INK_LIGHT] > 100


def test_the_last_pair_that_was_asked_for_is_the_one_shown(chart: Page) -> None:
    held: list[Route] = []
    chart.route("**/api/prices?tokenIn=JUP*", lambda route: held.append(route))
    with chart.expect_request("**/api/prices?tokenIn=JUP*") as given_up:
        chart.evaluate("() => void window.chart.show({ tokenIn: 'JUP', tokenOut: 'USDC' })")

    with chart.expect_event("requestfailed", lambda request: request == given_up.value):
        show(chart, tokenIn="RAY", tokenOut="USDC")

    expect(chart.locator(".price-now")).to_contain_text("USDC for 1 RAY")


def test_no_prices_are_said_so_and_asked_for_again(page: Page, watch: Watch) -> None:
    watch.allow("503")
    page.clock.install()
    page.route(PRICES, away)
    open_chart(page)
    expect(state(page)).to_contain_text(
        "No prices now. The chain's node did not answer a moment ago."
    )
    expect(price(page)).to_be_hidden()
    expect(page.get_by_role("table")).to_be_hidden()

    page.unroute(PRICES)
    page.get_by_role("button", name="Try again").press("Enter")

    expect_drawn(page)
    expect(range_button(page, "15 min")).to_be_focused()


def test_a_chart_without_prices_comes_by_itself_when_there_are_some(
    page: Page, watch: Watch
) -> None:
    watch.allow("503")
    page.route(PRICES, away, times=1)

    open_chart(page)

    expect_drawn(page)


def test_prices_that_stand_still_stay_and_go_on(chart: Page, watch: Watch) -> None:
    watch.allow("503")
    chart.route(PRICES, away, times=1)

    expect(state(chart)).to_contain_text("Prices stand still.")
    expect(price(chart)).to_have_text(re.compile(r"^\d+\.\d+$"))
    expect(chart.get_by_role("table")).to_be_visible()

    expect(state(chart)).to_be_empty()


def test_a_pair_that_is_refused_says_why(chart: Page, watch: Watch) -> None:
    watch.allow("400")

    show(chart, tokenIn="SOL", tokenOut="SOL")

    expect(state(chart)).to_contain_text("tokenOut: must differ from tokenIn.")


def test_the_figures_of_an_earlier_point_are_shown_under_the_pointer(chart: Page) -> None:
    when = chart.get_by_role("columnheader").first
    expect(when).to_have_text("Now")

    chart.locator(".u-over").hover(position={"x": 200, "y": 60})
    expect(when).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))

    chart.mouse.move(0, 0)
    expect(when).to_have_text("Now")


def test_the_drawing_takes_the_colours_of_the_theme(chart: Page) -> None:
    assert INK_DARK not in colours(chart)

    chart.evaluate("document.documentElement.dataset.theme = 'dark'")

    wait_for_ink(chart, INK_DARK)
    chart.evaluate("document.documentElement.dataset.theme = 'auto'")
    wait_for_ink(chart, INK_LIGHT)
    chart.emulate_media(color_scheme="dark")
    wait_for_ink(chart, INK_DARK)


def test_a_narrow_page_has_a_narrow_chart(chart: Page) -> None:
    chart.set_viewport_size(MOBILE)

    chart.wait_for_function("document.querySelector('figure canvas').clientWidth < 375")
    assert chart.evaluate("document.documentElement.scrollWidth") == 375


def test_on_a_phone_in_the_dark_it_fits_and_is_drawn(
    visit: Callable[..., Page], member: User
) -> None:
    page = visit(user=member, size=MOBILE, scheme="dark")
    open_chart(page)
    expect_drawn(page)

    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert colours(page)[INK_DARK] > 50


def test_a_closed_chart_asks_for_nothing_more(page: Page) -> None:
    page.clock.install()
    open_chart(page)
    expect_drawn(page)
    seen: list[Request] = []
    page.on("request", lambda request: seen.append(request))

    page.evaluate("window.chart.close()")
    page.clock.run_for(60_000)

    assert seen == []
    expect(figure(page)).to_have_count(0)
