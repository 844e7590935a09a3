"""How orders look in a terminal: the table, the line of one event, the summary. Rounded for the eye, downwards."""

from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_DOWN, Context, Decimal
from statistics import median

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orders.demo.order import DemoOrder, StreamEvent

# Of the sixteen colours that every theme sets, those that are readable on dark and light alike.
STATUS_STYLES = {
    "": ("·", "dim"),
    "pending": ("○", "dim"),
    "routing": ("◔", "cyan"),
    "building": ("◑", "cyan"),
    "submitted": ("◕", "magenta"),
    "confirmed": ("●", "green"),
    "failed": ("✗", "bold red"),
    "cancelled": ("–", "bold"),
}
WIDE_ENOUGH = 98
MOST_TROUBLES = 12


def orders_table(orders: Sequence[DemoOrder], *, width: int) -> RenderableType:
    """The columns never change their width while orders run, so nothing jumps."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    table.add_column("Order", width=8, no_wrap=True, style="dim")
    table.add_column("Pair", width=9, no_wrap=True)
    table.add_column("Amount", width=9, no_wrap=True, justify="right")
    table.add_column("Status", width=12, no_wrap=True)
    table.add_column("Venue", width=15 if width >= WIDE_ENOUGH else 7, no_wrap=True)
    table.add_column("Price", width=12, no_wrap=True, justify="right")
    if width >= WIDE_ENOUGH:
        table.add_column("Received", width=17, no_wrap=True, justify="right")
    table.add_column("Time", width=6, no_wrap=True, justify="right")
    for order in orders:
        received = [_received(order)] if width >= WIDE_ENOUGH else []
        table.add_row(
            order.short_id,
            order.swap.pair,
            f"{Decimal(order.swap.amount):,f}",
            _status(order.status or ("submitting" if order.started_at else "")),
            _venue(order.latest("venue"), width=width),
            shorten(order.latest("executed_price")),
            *received,
            Text(f"{order.elapsed_s:.1f} s", style="" if order.has_ended else "dim"),
        )
    return table


def event_line(order: DemoOrder, event: StreamEvent) -> str:
    return (
        f"{order.elapsed_s:7.2f} s  {order.short_id:<8}  {order.swap.pair:<9}  "
        f"{event.status:<9}  {event.message}"
    )


def summary(orders: Sequence[DemoOrder], *, timeout_s: float) -> RenderableType:
    """How many ended how, how long it took, whether the streams were complete, and what went wrong."""
    ended = [order for order in orders if order.has_ended]
    lines = [_endings(orders)]
    if ended:
        times = sorted(order.elapsed_s for order in ended)
        lines.append(_row("Elapsed", f"p50 {median(times):.2f} s, max {times[-1]:.2f} s"))
    lines.append(_row("Streams", _streams(orders)))
    troubles = [(order, said) for order in orders if (said := _trouble(order, timeout_s))]
    for order, said in troubles[:MOST_TROUBLES]:
        name = f"{order.short_id or 'unsubmitted'} {order.swap.pair}"
        lines.append(Text(f"{name} {said}", style="red"))
    if len(troubles) > MOST_TROUBLES:
        lines.append(Text(f"and {len(troubles) - MOST_TROUBLES} more", style="red"))
    return Group(*lines)


def _venue(venue: str, *, width: int) -> str:
    """For a route through two "Meteora+Raydium", or "Met+Ray" where there is little room."""
    names = [name.capitalize() for name in venue.split("+")]
    if len(names) > 1 and width < WIDE_ENOUGH:
        names = [name[:3] for name in names]
    return "+".join(names)


def shorten(amount: str) -> str:
    """`"1234.56789"` → `1,234.5678`, `"0.000022145678"` → `0.0000221456`: four decimals or six digits."""
    if not amount:
        return ""
    number = Decimal(amount)
    if number < 1:
        return f"{Context(6, ROUND_DOWN).plus(number):f}"
    return f"{number.quantize(Decimal('0.0001'), ROUND_DOWN):,f}"


def _status(status: str) -> Text:
    mark, style = STATUS_STYLES.get(status, STATUS_STYLES[""])
    return Text(f"{mark} {status}" if status else "", style=style)


def _received(order: DemoOrder) -> str:
    amount = shorten(order.latest("amount_out"))
    return f"{amount} {order.swap.token_out:<4}" if amount else ""


def _endings(orders: Sequence[DemoOrder]) -> Text:
    counts = Counter(order.status for order in orders if order.has_ended)
    unfinished = len(orders) - counts.total()
    line = _row("Orders", "")
    parts = [(status, counts[status]) for status in ("confirmed", "failed", "cancelled")]
    for number, (status, count) in enumerate(parts):
        style = STATUS_STYLES[status][1] if count else "dim"
        line.append(", " if number else "").append(f"{count} {status}", style=style)
    if unfinished:
        line.append(", ").append(f"{unfinished} not ended", style="bold red")
    return line


def _streams(orders: Sequence[DemoOrder]) -> str:
    complete = sum(not order.flaw for order in orders)
    events = sum(len(order.events) for order in orders)
    reconnects = sum(order.reconnects for order in orders)
    return (
        f"{complete} of {len(orders)} complete: each seq once, in order "
        f"({events} events, {reconnects} reconnects)"
    )


def _row(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<9}", "bold"), text)


def _trouble(order: DemoOrder, timeout_s: float) -> str:
    """Empty for an order that went well; one that failed is told too, though it is an ending."""
    if order.trouble or (order.has_ended and order.flaw):
        return f"stream not complete: {order.flaw}"
    if not order.has_ended:
        return f"did not end within {timeout_s:g} s: {order.status or 'submitting'}, seq {order.last_seq}"
    if order.status == "failed":
        return f"failed: {order.latest('error_code')}. {order.events[-1].message}"
    return ""
