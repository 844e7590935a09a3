"""A page with nothing but a price chart, as strict as the engine's own; no server has it."""

from playwright.sync_api import Page, Route

PATH = "/a-price-chart"
# As `CONTENT_SECURITY_POLICY` has it; the one script inline is this page's.
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-page'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'"
)
DOCUMENT = """<!DOCTYPE html>
<html lang="en" data-theme="auto">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>A price chart</title>
  <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/design.css">
  <link rel="stylesheet" href="/static/price-chart.css">
  <script type="module" nonce="page">
    import { PriceChart } from "/static/app/price-chart.js";
    window.chart = new PriceChart(document.getElementById("here"));
    window.chart.show({ tokenIn: "SOL", tokenOut: "USDC" });
  </script>
</head>
<body>
  <main class="page"><section class="card"><div class="body" id="here"></div></section></main>
</body>
</html>
"""


def open_chart(page: Page) -> None:
    def answer(route: Route) -> None:
        route.fulfill(
            body=DOCUMENT,
            content_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": POLICY},
        )

    page.route(f"**{PATH}", answer)
    page.goto(PATH)
