"""What the operations page draws: bars of orders over time, and how far apart a phase's percentiles are.

Only geometry: which colour a part has is its class's business, so that no style is written into the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from orders.operations import Spread
from orders.throughput import POINT_S, SPAN_S, Counts

POINT_WIDTH: Final = 10
BAR_WIDTH: Final = 7
HEIGHT: Final = 80


@dataclass(frozen=True, slots=True)
class Bar:
    """`kind` is what the orders came to. Coordinates are those of SVG, y downwards."""

    kind: str
    x: int
    y: float
    height: float
    width: int = BAR_WIDTH


@dataclass(frozen=True, slots=True)
class Series:
    """Ended orders as bars, in the ways they ended one upon another; accepted ones as a line's points."""

    bars: tuple[Bar, ...]
    line: str
    peak: int
    width: int
    sentence: str
    height: int = HEIGHT


def series(points: Sequence[Counts]) -> Series:
    peak = max((max(point.accepted, point.ended) for point in points), default=0)
    bars: list[Bar] = []
    line: list[str] = []
    for place, point in enumerate(points):
        left, foot = place * POINT_WIDTH, float(HEIGHT)
        for kind in ("confirmed", "cancelled", "failed"):
            height = _scaled(getattr(point, kind), peak)
            if height:
                foot = round(foot - height, 2)
                bars.append(Bar(kind, left, foot, height))
        line.append(f"{left + BAR_WIDTH / 2:g},{HEIGHT - _scaled(point.accepted, peak):g}")
    return Series(
        tuple(bars), " ".join(line), peak, len(points) * POINT_WIDTH, _sentence(points, peak)
    )


def _scaled(count: int, peak: int) -> float:
    return round(HEIGHT * count / peak, 2) if peak else 0.0


def _sentence(points: Sequence[Counts], peak: int) -> str:
    span = f"in {POINT_S} seconds, over the last {SPAN_S // 60} minutes"
    if not peak:
        return f"No order was accepted or ended {span}."
    ended = sum(point.ended for point in points)
    return f"Up to {peak} orders {span}: {sum(p.accepted for p in points)} accepted, {ended} ended."


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a phase's percentiles are on a scale of 0 to 100, which all phases share."""

    spread: Spread
    p50: float
    p95: float
    p99: float

    @property
    def to_p95(self) -> float:
        return round(self.p95 - self.p50, 2)

    @property
    def to_p99(self) -> float:
        return round(self.p99 - self.p95, 2)


def reaches(spreads: Sequence[Spread]) -> tuple[Reach, ...]:
    longest = max((spread.p99_s for spread in spreads), default=0.0) or 1.0

    def scaled(seconds: float) -> float:
        return round(100 * seconds / longest, 2)

    return tuple(
        Reach(each, scaled(each.p50_s), scaled(each.p95_s), scaled(each.p99_s)) for each in spreads
    )
