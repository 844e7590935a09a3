"""`python -m tests.e2e.screenshots`: pictures of every page into docs/screens, of an engine that has seen some life."""

import io
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect
from rich.console import Console

from benchmarks.browser import Visitor, running_chromium, sign_in
from benchmarks.generator import BenchError
from config.stack.engine_processes import PROJECT
from tests.e2e.believable_life import (
    BAD_LUCK,
    SILENCE,
    Desk,
    Office,
    has_ended,
    is_in_doubt,
    is_sent,
    let_prices_begin_earlier,
    office,
)
from tests.e2e.moving_picture import filmed
from tests.up import Up

FOLDER = PROJECT / "docs" / "screens"
MOST_BYTES_OF_ONE = 150 * 1024
MOST_BYTES_OF_FILM = 3 * 512 * 1024
DESKTOP, MOBILE, FILM = (1440, 1000), (375, 812), (1280, 960)
UNLUCKY_ORDERS, LUCKY_ORDERS = 10, 46
TREASURY = "treasury"

# Looked for in every frame: routing is over soon.
IN_ITS_FIRST_FRAME = """selector => new Promise((found, failed) => {
  const until = performance.now() + 10_000;
  const look = () => {
    if (document.querySelector(selector)) found();
    else if (performance.now() > until) failed(new Error(`There is no ${selector}.`));
    else requestAnimationFrame(look);
  };
  look();
})"""

Orders = Mapping[str, str]


@dataclass(frozen=True)
class Shot:
    """`path` may name one of the orders that tell a story. It is taken once `until` has been awaited."""

    name: str
    path: str
    until: Callable[[Page], None]
    size: tuple[int, int] = DESKTOP
    scheme: str = "light"
    is_signed_in: bool = True

    def variant(self, name: str, **changes: Any) -> "Shot":
        return replace(self, name=f"{self.name}-{name}", **changes)


def shows(selector: str) -> Callable[[Page], None]:
    return lambda page: expect(page.locator(selector).first).to_be_visible()


def chart_and_orders(page: Page) -> None:
    expect(page.locator(".price-chart")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#blotter [role=row]").first).to_be_visible()
    expect(page.locator("#stream-state")).to_have_text("Live")


def quoted_and_at_work(page: Page) -> None:
    """With orders in several states, some of which have only just ended."""
    chart_and_orders(page)
    expect(page.locator("#quote")).to_contain_text("good for")
    for state in ("submitted", "routing"):
        page.evaluate(IN_ITS_FIRST_FRAME, f"#blotter .chip-{state}")


TRADE = Shot("trade", "/?tokenIn=SOL&tokenOut=USDC&amount=1200", quoted_and_at_work)
ORDER = Shot("order", "/orders/{divided}", shows("#log tbody tr"))
FAILED = Shot("order-failed", "/orders/{failed}", shows("#log tbody tr"))
DOUBTED = Shot("order-in-doubt", "/orders/{doubted}", shows("#log tbody tr"))
OPERATIONS = Shot("operations", "/ops/", shows("main h1"))
CONSOLE = Shot("console", "/admin/orders/order/", shows("#result_list"))
CONSOLE_ORDER = Shot("console-order", "/admin/orders/order/{failed}/change/", shows("#content h1"))
SIGN_IN = Shot("sign-in", "/sign-in", shows("form"), is_signed_in=False)

# Each while orders of its own are at work.
AT_WORK = (TRADE, TRADE.variant("dark", scheme="dark"), TRADE.variant("mobile", size=MOBILE))
AFTERWARDS = (
    ORDER,
    ORDER.variant("mobile", size=MOBILE),
    ORDER.variant("dark", scheme="dark"),
    FAILED,
    DOUBTED,
    OPERATIONS,
    OPERATIONS.variant("dark", scheme="dark"),
    OPERATIONS.variant("mobile", size=MOBILE),
    CONSOLE,
    CONSOLE_ORDER,
    CONSOLE_ORDER.variant("dark", scheme="dark"),
    SIGN_IN,
    SIGN_IN.variant("mobile-dark", size=MOBILE, scheme="dark"),
)


def main() -> int:
    console = Console()
    # However it is asked to stop, the engine stops on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    FOLDER.mkdir(exist_ok=True)
    try:
        with running_chromium() as browser, office() as the_office:
            tell_stories(the_office, browser, say=partial(console.print, highlight=False))
    except BenchError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 1
    return 0


def tell_stories(the_office: Office, browser: Browser, *, say: Callable[[str], None]) -> None:
    say("Starting an engine whose market has been open for an hour")
    with the_office.open() as up:
        let_prices_begin_earlier(the_office.desk(up), up)
    orders = {}
    say(f"A bad quarter of an hour: {UNLUCKY_ORDERS} orders, most of them tried again")
    with the_office.open(**BAD_LUCK) as up:
        orders["failed"] = bad_quarter(the_office, up)
    say(f"A good one: {LUCKY_ORDERS} orders")
    with the_office.open() as up:
        orders["divided"] = good_quarter(the_office, up)
        visitor = signed_in(browser, up)
        for shot in AT_WORK:
            desk = the_office.desk(up)
            take(shot, visitor, orders, partial(place_some, the_office, desk), say=say)
        film_an_order(visitor, say=say)
    say("A silent node: one order in doubt, in a minute")
    with the_office.open(**SILENCE) as up:
        orders["doubted"] = silence(the_office, up)
        visitor = signed_in(browser, up)
        for shot in AFTERWARDS:
            take(shot, visitor, orders, say=say)


def bad_quarter(the_office: Office, up: Up) -> str:
    """One that failed after all its attempts."""
    desk = the_office.desk(up)
    placed = [desk.place("SOL", "USDC", "40")]
    placed += [desk.place_at_random(the_office.rng) for _ in range(UNLUCKY_ORDERS - 2)]
    placed += [desk.place("BONK", "SOL", "0.00001")]
    desk.wait_for(placed, has_ended)
    failed = [each for each in placed if desk.order(each)["status"] == "failed"]
    return max(failed, key=lambda each: desk.order(each)["attempt"])


def good_quarter(the_office: Office, up: Up) -> str:
    """One that was divided over several pools."""
    desk, treasury = the_office.desk(up), the_office.desk(up, TREASURY)
    placed = []
    for number in range(LUCKY_ORDERS):
        at = treasury if number % 6 == 5 else desk
        order_id = at.place_at_random(the_office.rng)
        if at is desk:
            placed.append(order_id)
    desk.cancel(desk.place("USDC", "JTO", "500"))
    divided = desk.place("SOL", "USDC", "2400", slippageBps=100)
    desk.wait_for([*placed, divided], has_ended)
    return divided


def place_some(the_office: Office, desk: Desk) -> None:
    """Three that are sent, and two that have only just been placed."""
    placed = [desk.place_at_random(the_office.rng) for _ in range(3)]
    desk.wait_for(placed, is_sent)
    for amount in ("60", "3.5"):
        desk.place("SOL", "USDC", amount)


def silence(the_office: Office, up: Up) -> str:
    desk = the_office.desk(up)
    doubted = desk.place("USDC", "SOL", "5000", clientOrderId="rebalance-0415")
    desk.wait_for([doubted], is_in_doubt)
    return doubted


def signed_in(browser: Browser, up: Up) -> Visitor:
    ready = up.ready
    return sign_in(
        browser, url=ready["url"], user=ready["adminUser"], password=ready["adminPassword"]
    )


def take(
    shot: Shot,
    visitor: Visitor,
    orders: Orders,
    at_work: Callable[[], None] | None = None,
    *,
    say: Callable[[str], None],
) -> None:
    width, height = shot.size
    options = {
        "viewport": {"width": width, "height": height},
        "color_scheme": shot.scheme,
        "device_scale_factor": 2 if shot.size == MOBILE else 1,
        "reduced_motion": "reduce",
    }
    with visitor.page(**options, **({} if shot.is_signed_in else {"storage_state": None})) as page:
        page.goto(shot.path.format(**orders))
        if at_work:
            at_work()
        shot.until(page)
        save(page.screenshot(), FOLDER / f"{shot.name}.png", say=say)


def save(png: bytes, path: Path, *, say: Callable[[str], None]) -> None:
    """In 256 colours: interfaces have few."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    # By how much of the colour space each covers: a rare colour, as of a chip, must not become its neighbour's.
    palette: dict[str, Any] = {
        "method": Image.Quantize.MAXCOVERAGE,
        "kmeans": 3,
        "dither": Image.Dither.NONE,
    }
    image.quantize(256, **palette).save(path, optimize=True)
    assert path.stat().st_size <= MOST_BYTES_OF_ONE, path
    say(f"  {path.relative_to(PROJECT)}  {path.stat().st_size // 1024} KiB")


def film_an_order(visitor: Visitor, *, say: Callable[[str], None]) -> None:
    """With the keyboard alone: an amount, its quote, Enter, and each state until it is confirmed."""
    width, height = FILM
    with visitor.page(viewport={"width": width, "height": height}) as page:
        page.goto("/")
        chart_and_orders(page)
        with filmed(page) as film:
            page.keyboard.press("n")
            page.wait_for_timeout(600)
            page.keyboard.type("250", delay=250)
            expect(page.locator("#quote")).to_contain_text("good for")
            page.wait_for_timeout(1_200)  # for whoever watches
            page.keyboard.press("Enter")
            expect(page.locator(".toasts")).to_contain_text("Confirmed")
            page.wait_for_timeout(500)
        path = FOLDER / "an-order.gif"
        film.save(path)
        assert path.stat().st_size <= MOST_BYTES_OF_FILM
    say(f"  {path.relative_to(PROJECT)}  {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    sys.exit(main())
