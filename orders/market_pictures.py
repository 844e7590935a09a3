"""Pictures of the simulated market: a pair's prices slot by slot, and what orders of each size cost.

The colours are Okabe and Ito's, which colour-blind eyes tell apart (https://jfly.uni-koeln.de/color). A picture bears
no date: the same figures give the same file. What it refuses: to know where a figure comes from, and to need
matplotlib before something is drawn.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orders.market_looks import Look, Size
from routing.route import Route

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS: Final = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7")
_INK: Final = "black"
_INCHES: Final = (10, 6)
_DOTS_PER_INCH: Final = 110
# With so many colours a PNG of thin lines is a third as large, and looks the same.
_PNG_COLOURS: Final = 128
# Costs up to so many basis points are drawn to an even scale, with 0 and gains; larger ones to a logarithmic one.
_EVEN_BPS: Final = 10
_UNDATED: Final[Mapping[str, dict[str, Any]]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


class NotDrawn(Exception):
    """There is no picture: matplotlib is missing, or the file can't be written."""


def draw_prices(
    file: Path, *, title: str, unit: str, slot_ms: int, labels: Sequence[str], looks: Sequence[Look]
) -> None:
    """Prices above, in `unit`; distances from the reference below. Raises `NotDrawn`."""
    figure, (above, below) = _figure(heights=(1, 1))
    slots = [look.slot for look in looks]
    for pool, label in enumerate(labels):
        above.plot(slots, [float(look.pools[pool]) for look in looks], label=label, linewidth=0.6)
        below.plot(slots, [float(look.distances_bps[pool]) for look in looks], linewidth=0.6)
    references = [float(look.reference) for look in looks]
    above.plot(slots, references, label="Reference", color=_INK, linewidth=1.2)
    below.axhline(0, color=_INK, linewidth=1.2)
    above.set(ylabel=unit)
    below.set(xlabel=f"Slot of {slot_ms:,} ms", ylabel="Distance from the reference, bps")
    _save(figure, file, title)


def draw_sizes(file: Path, *, title: str, labels: Mapping[str, str], sizes: Sequence[Size]) -> None:
    """Costs above: of each pool alone (`labels` is by address), of the best single way, and of the chosen route.

    Below, what the choice improves. A line ends where nothing takes the order. Raises `NotDrawn`.
    """
    figure, (above, below) = _figure(heights=(3, 1))
    for axes in (above, below):
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=_EVEN_BPS)
        axes.axhline(0, color=_INK, linewidth=0.8)
    dollars = [float(size.dollars) for size in sizes]

    def plot_costs(routes: Sequence[Route | None], **style: Any) -> None:
        costs_bps = [
            _drawn(size.cost_bps(route) if route else None)
            for size, route in zip(sizes, routes, strict=True)
        ]
        above.plot(dollars, costs_bps, **style)

    for address, label in labels.items():
        plot_costs([size.through(address) for size in sizes], label=label, linewidth=3)
    plot_costs([size.single for size in sizes], label="Best single", color=_INK, linestyle=":")
    plot_costs([size.chosen for size in sizes], label="Chosen route", color=_INK)
    below.plot(dollars, [_drawn(size.improvement_bps) for size in sizes], color=_INK)
    above.set(ylabel="Cost, bps of the order's worth")
    below.set(xlabel="Size of the order, dollars", ylabel="Improvement, bps")
    for axes in (above, below):
        axes.yaxis.set_major_formatter("{x:,.0f}")
    _save(figure, file, title)


def _figure(*, heights: tuple[int, int]) -> "tuple[Figure, tuple[Axes, Axes]]":
    """Two pictures, one above the other, with one horizontal axis."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise NotDrawn(
            "matplotlib is missing; `pip install -r requirements-dev.txt` installs it"
        ) from None
    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    for axes in (above, below):
        axes.set_prop_cycle(color=_COLOURS)
        axes.grid(linewidth=0.4, alpha=0.4)
        axes.margins(x=0.01)
    return figure, (above, below)


def _save(figure: "Figure", file: Path, title: str) -> None:
    from matplotlib import rc_context
    from PIL import Image

    figure.axes[-1].xaxis.set_major_formatter("{x:,.0f}")
    legend = figure.legend(title=title, loc="outside upper center", ncols=6, frameon=False)
    for line in legend.get_lines():  # of thin ones nobody sees the colour
        line.set_linewidth(max(2, line.get_linewidth()))
    try:
        # Else the ids in an SVG are random.
        with rc_context({"svg.hashsalt": title}):
            figure.savefig(file, metadata=_UNDATED.get(file.suffix))
        if file.suffix == ".png":
            with Image.open(file) as drawn:
                few = drawn.convert("RGB").quantize(_PNG_COLOURS)
            few.save(file, optimize=True, dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH))
    except (OSError, ValueError) as error:
        raise NotDrawn(f"{file} can't be written: {error}") from error


def _drawn(bps: Decimal | None) -> float:
    """What isn't there leaves a gap."""
    return float("nan") if bps is None else float(bps)
