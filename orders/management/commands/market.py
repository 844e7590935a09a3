"""`manage.py market`: what the simulated market of a seed looks like, as a table or a picture.

It asks pools for their states as a venue does. It needs no database, and nothing that runs.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich import box
from rich.console import Console
from rich.table import Table

from orders.market_looks import LARGEST_USD, SMALLEST_USD, Look, Size, Window, label_of_pool
from orders.market_pictures import NotDrawn, draw_prices, draw_sizes
from orders.quoting import label_of
from routing.rounding import ceil_div
from routing.tokens import TOKENS
from routing.venue import Pair

SLOTS = 500
MOST_SLOTS = 1_000_000
ROWS = 20
# Of the console: rather broken lines in a narrow one than figures cut off.
LEAST_WIDTH = 120
# A long range is looked at here and there: more than a table or a picture can show.
MOST_LOOKS = 2_000


class _Shown(NamedTuple):
    """One look at the market: as a table, as a picture in a file, and in a sentence."""

    table: Table
    draw: Callable[[Path], None]
    summary: str


class Command(BaseCommand):
    help = (
        "Show the simulated market: a pair's reference price and each pool's, slot by slot; or with --sizes, what "
        "orders of all sizes would be paid in one slot, by the best single pool and by the route that is chosen."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--pair", default="SOL/USDC", help="two tokens (SOL/USDC)")
        parser.add_argument("--slots", type=int, help=f"how many slots ({SLOTS})")
        parser.add_argument(
            "--sizes",
            action="store_true",
            help=f"orders worth {SMALLEST_USD:,} to {LARGEST_USD:,} dollars, all in the first slot",
        )
        parser.add_argument("--from", type=int, default=1_000, help="the first slot (1000)")
        parser.add_argument("--seed", type=int, help="the market's seed (MOCK_SEED)")
        parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it: PNG, SVG or PDF")

    def handle(
        self, *, pair: str, slots: int | None, sizes: bool, plot: Path | None, **options: Any
    ) -> None:
        tokens, first_slot = _tokens(pair), options["from"]
        if sizes and slots is not None:
            raise CommandError("--slots: with --sizes there is one slot only, that of --from.")
        slots = SLOTS if slots is None else slots
        if not 1 <= slots <= MOST_SLOTS:
            raise CommandError(f"--slots: 1 to {MOST_SLOTS:,} slots can be shown, not {slots:,}.")
        if first_slot < 0:
            raise CommandError(f"--from: slots start at 0, so there is no slot {first_slot:,}.")
        seed = settings.MOCK_SEED if options["seed"] is None else options["seed"]
        window, title = Window(seed=seed), f"{pair}, seed {seed}"
        if sizes:
            shown = _sizes(window, tokens, first_slot, title)
        elif window.pools(tokens):
            shown = _prices(window, tokens, range(first_slot, first_slot + slots), title)
        else:
            raise CommandError(f"--pair: no pool trades {pair}: one token must be SOL or USDC.")
        if plot is None:
            console = Console(highlight=False, no_color=options["no_color"] or None)
            console.width = max(console.width, LEAST_WIDTH)
            with console.capture() as captured:
                console.print(shown.table)
            self.stdout.write(captured.get())
        else:
            try:
                shown.draw(plot)
            except NotDrawn as error:
                raise CommandError(f"--plot: {error}.") from error
        self.stdout.write(shown.summary)


def _tokens(pair: str) -> Pair:
    symbols = pair.split("/")
    if len(symbols) != 2:
        raise CommandError(f"--pair: {pair!r} is not a pair; write it like SOL/USDC.")
    for symbol in symbols:
        if symbol not in TOKENS:
            known = ", ".join(TOKENS)
            raise CommandError(f"--pair: {symbol!r} is none of the tokens {known}.")
    if symbols[0] == symbols[1]:
        raise CommandError(f"--pair: no pool trades {pair}: a pair is of two tokens.")
    return TOKENS[symbols[0]], TOKENS[symbols[1]]


def _prices(window: Window, pair: Pair, slots: range, title: str) -> _Shown:
    labels = list(window.pools(pair).values())
    looks = window.looks(pair, slots[:: ceil_div(len(slots), MOST_LOOKS)])
    spreads_bps = [look.spread_bps for look in looks]
    return _Shown(
        _price_table(pair, labels, looks),
        partial(
            draw_prices,
            title=title,
            unit=f"{pair[1].symbol} for 1 {pair[0].symbol}",
            slot_ms=settings.MOCK_SLOT_MS,
            labels=labels,
            looks=looks,
        ),
        f"Spread between the pools: {median(spreads_bps):.1f} bps in the median, "
        f"{max(spreads_bps):.1f} bps at most, in {len(looks):,} of {len(slots):,} slots.",
    )


def _price_table(pair: Pair, labels: Sequence[str], looks: Sequence[Look]) -> Table:
    """Each pool's price with its distance from the reference."""
    many = _many(looks[0].reference)
    title = f"{many:,} {pair[0].symbol} in {pair[1].symbol}; distances and spread in bps"
    table = _table(title, "Slot", "Reference", *labels, "Spread")
    for look in looks[:: ceil_div(len(looks), ROWS)]:
        pools = (
            f"{price * many:.5g} {distance_bps:+.0f}"
            for price, distance_bps in zip(look.pools, look.distances_bps, strict=True)
        )
        reference = f"{look.reference * many:.5g}"
        table.add_row(str(look.slot), reference, *pools, f"{look.spread_bps:.0f}")
    return table


def _sizes(window: Window, pair: Pair, slot: int, title: str) -> _Shown:
    sizes = window.sizes(pair, slot=slot)
    gains_bps = [size.improvement_bps for size in sizes if size.improvement_bps]
    summary = f"The chosen route pays more than the best single pool for {len(gains_bps)} of {len(sizes)} sizes"
    if gains_bps:
        summary += f", by up to {max(gains_bps):.1f} bps of the order's worth"
    draw = partial(
        draw_sizes, title=f"{title}, slot {slot:,}", labels=window.pools(pair), sizes=sizes
    )
    return _Shown(_size_table(pair, sizes), draw, f"{summary}.")


def _size_table(pair: Pair, sizes: Sequence[Size]) -> Table:
    """What each size is paid for a token by the best single pool, or pool a hop, and by the chosen route."""
    symbol = pair[0].symbol
    paid = [size.out_per_token(size.chosen) for size in sizes if size.chosen]
    many = _many(paid[0]) if paid else 1
    title = f"{many:,} {symbol} in {pair[1].symbol}; improvement in bps of the order's worth"
    columns = (
        "Dollars",
        symbol,
        "Best single",
        "pays",
        "Chosen route",
        "Legs",
        "pays",
        "Improvement",
    )
    table = _table(title, *columns)
    for size in sizes[:: ceil_div(len(sizes), ROWS)]:
        row = [f"{size.dollars:,.0f}", f"{size.amount:,f}"]
        single, chosen = size.single, size.chosen
        if single:
            pools = " + ".join(label_of_pool(leg.pool) for leg in single.legs)
            row += [pools, f"{size.out_per_token(single) * many:.5g}"]
        else:
            row += ["none takes it", ""]
        if chosen:
            price = f"{size.out_per_token(chosen) * many:.5g}"
            row += [label_of(chosen.venue), str(len(chosen.legs)), price]
        else:
            row += [f"none: {size.refusal}", "", ""]
        gain_bps = size.improvement_bps
        table.add_row(*row, "" if gain_bps is None else f"{gain_bps:.1f}")
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.title = title
    for heading in headings:
        table.add_column(heading.replace(" ", "\n", 1), justify="right")
    return table


def _many(price: Decimal) -> int:
    """So many thousands of a cheap token that their price has no zeros in front."""
    many = 1
    while price * many < Decimal("0.1"):
        many *= 1_000
    return many
