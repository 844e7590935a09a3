"""`manage.py market`: what the simulated market of a seed looks like, as a table or a picture.

It asks pools for their states as a venue does. It needs no database, and nothing that runs.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich import box
from rich.console import Console
from rich.table import Table

from routing.market import Market
from routing.pool import PRICE_ONE
from routing.registry import open_venues
from routing.rounding import BPS, ceil_div
from routing.tokens import TOKENS, Token
from routing.venue import Pair, Reading

MOST_SLOTS = 1_000_000
ROWS = 20
# A long range is looked at here and there: more than a table or a picture can show.
MOST_LOOKS = 2_000
# So much of one token that its price in base units of another has digits enough.
MUCH_BASE = 10**18


@dataclass(frozen=True, slots=True)
class Look:
    """The prices of one slot: of the pair's first token, in its second."""

    slot: int
    reference: Decimal
    pools: tuple[Decimal, ...]

    @property
    def distances_bps(self) -> list[Decimal]:
        """How far each pool is from the reference."""
        return [(price / self.reference - 1) * BPS for price in self.pools]

    @property
    def spread_bps(self) -> Decimal:
        """How much dearer the dearest pool is than the cheapest."""
        return (max(self.pools) / min(self.pools) - 1) * BPS


class Command(BaseCommand):
    help = "Show the simulated market: a pair's reference price and each pool's, slot by slot."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--pair", default="SOL/USDC", help="two tokens (SOL/USDC)")
        parser.add_argument("--slots", type=int, default=500, help="how many slots (500)")
        parser.add_argument("--from", type=int, default=1_000, help="the first slot (1000)")
        parser.add_argument("--seed", type=int, help="the market's seed (MOCK_SEED)")
        parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it: PNG, SVG or PDF")

    def handle(self, *, pair: str, slots: int, plot: Path | None, **options: Any) -> None:
        tokens, first_slot = _tokens(pair), options["from"]
        if not 1 <= slots <= MOST_SLOTS:
            raise CommandError(f"--slots: 1 to {MOST_SLOTS:,} slots can be shown, not {slots:,}.")
        if first_slot < 0:
            raise CommandError(f"--from: slots start at 0, so there is no slot {first_slot:,}.")
        seed = settings.MOCK_SEED if options["seed"] is None else options["seed"]
        looked_at = range(first_slot, first_slot + slots, ceil_div(slots, MOST_LOOKS))
        labels, looks = asyncio.run(_look(Market(seed=seed), tokens, looked_at))
        if not labels:
            raise CommandError(f"--pair: no pool trades {pair}: one token must be SOL or USDC.")
        if plot is None:
            console = Console(highlight=False, no_color=options["no_color"] or None)
            with console.capture() as captured:
                console.print(_table(tokens, labels, looks))
            self.stdout.write(captured.get())
        else:
            _draw(plot, labels, looks, title=f"{pair}, seed {seed}")
        spreads_bps = [look.spread_bps for look in looks]
        self.stdout.write(
            f"Spread between the pools: {median(spreads_bps):.1f} bps in the median, "
            f"{max(spreads_bps):.1f} bps at most, in {len(looks):,} of {slots:,} slots."
        )


def _tokens(pair: str) -> tuple[Token, Token]:
    symbols = pair.split("/")
    if len(symbols) != 2:
        raise CommandError(f"--pair: {pair!r} is not a pair; write it like SOL/USDC.")
    for symbol in symbols:
        if symbol not in TOKENS:
            known = ", ".join(TOKENS)
            raise CommandError(f"--pair: {symbol!r} is none of the tokens {known}.")
    return TOKENS[symbols[0]], TOKENS[symbols[1]]


class _At:
    """A feed of one slot, in which nobody has swapped."""

    slot = 0

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        return Reading(self.slot, {})


async def _look(market: Market, pair: Pair, slots: Sequence[int]) -> tuple[list[str], list[Look]]:
    """The pair's pools by name, and their prices in each of the slots."""
    base, quote = pair
    feed = _At()
    venues = open_venues(market, feed, slot_ms=settings.MOCK_SLOT_MS)
    whole = Decimal(10) ** (base.decimals - quote.decimals)
    labels: list[str] = []
    looks = []
    for feed.slot in slots:
        pools = [pool for venue in venues.values() for pool in await venue.pools([pair])]
        labels = [f"{venues[pool.venue].label} {pool.address[:4]}" for pool in pools]
        reference = market.reference_price(base, quote, slot=feed.slot)
        looks.append(
            Look(
                slot=feed.slot,
                reference=whole * reference / PRICE_ONE,
                pools=tuple(whole * pool.at_mid(base, MUCH_BASE) / MUCH_BASE for pool in pools),
            )
        )
    return labels, looks


def _table(pair: tuple[Token, Token], labels: Sequence[str], looks: Sequence[Look]) -> Table:
    """Each pool's price with its distance from the reference."""
    # So many thousands of a cheap token that their price has no zeros in front.
    many = 1
    while looks[0].reference * many < Decimal("0.1"):
        many *= 1_000
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.title = f"{many:,} {pair[0].symbol} in {pair[1].symbol}; distances and spread in bps"
    for heading in ("Slot", "Reference", *labels, "Spread"):
        table.add_column(heading.replace(" ", "\n", 1), justify="right")
    for look in looks[:: ceil_div(len(looks), ROWS)]:
        pools = (
            f"{price * many:.5g} {distance_bps:+.0f}"
            for price, distance_bps in zip(look.pools, look.distances_bps, strict=True)
        )
        reference = f"{look.reference * many:.5g}"
        table.add_row(str(look.slot), reference, *pools, f"{look.spread_bps:.0f}")
    return table


def _draw(file: Path, labels: Sequence[str], looks: Sequence[Look], *, title: str) -> None:
    """Prices above, distances from the reference below."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise CommandError(
            "--plot: matplotlib is missing; `pip install -r requirements-dev.txt` installs it."
        ) from None
    slots = [look.slot for look in looks]
    figure = Figure(figsize=(12, 8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for pool, label in enumerate(labels):
        above.plot(slots, [float(look.pools[pool]) for look in looks], label=label, linewidth=0.8)
        below.plot(slots, [float(look.distances_bps[pool]) for look in looks], linewidth=0.8)
    above.plot(
        slots, [float(look.reference) for look in looks], "k", label="Reference", linewidth=1
    )
    below.axhline(0, color="k", linewidth=1)
    above.set(title=title, ylabel="Price")
    above.legend()
    below.set(xlabel="Slot", ylabel="Distance from the reference, bps")
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise CommandError(f"--plot: {file} can't be written: {error}.") from error
