"""throughput.svg: completed orders a second by scenario, beside what PostgreSQL alone does. Drawn from the JSON files.

The batched limit is an order of magnitude above all else: its bar is broken, so that the others can be told apart.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

# Each group's scenarios, in two processes and in one.
GROUPS = (
    ("No delays", ("no-delay", "no-delay-together")),
    ("No delays, a socket per order", ("no-delay-sockets", "no-delay-sockets-together")),
    ("Default delays", ("default-delays", None)),
    ("Default delays, a socket per order", ("default-delays-sockets", None)),
)
SPLIT, TOGETHER, LIMIT = "#2f6fdb", "#9dbdf2", "#b9bec7"
LEGEND = (
    (SPLIT, "REST and sockets apart (WEB=split)"),
    (TOGETHER, "one web process"),
    (LIMIT, "PostgreSQL alone"),
)
INK, FAINT = "#1f2430", "#6b7280"
FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\""

WIDTH, MARGIN, LABELS = 860, 28, 262
LONGEST = 510
TOP, BAR, GAP, GROUP_GAP = 112, 20, 5, 18


@dataclass(frozen=True)
class Bar:
    per_s: float
    color: str
    note: str = ""
    is_broken: bool = False


@dataclass(frozen=True)
class Group:
    label: str
    bars: Sequence[Bar]


def write(folder: Path) -> Path | None:
    """The chart of all results in the folder; None if it holds none that belong in it."""
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    groups = groups_of(found)
    if not groups:
        return None
    path = folder / "throughput.svg"
    path.write_text(draw(groups, subtitle=measured_on(found)))
    return path


def groups_of(results: Mapping[str, Mapping[str, Any]]) -> list[Group]:
    groups = []
    shown = []
    for label, names in GROUPS:
        bars = [
            Bar(results[name]["figures"]["completedPerS"], color)
            for name, color in zip(names, (SPLIT, TOGETHER), strict=True)
            if name in results
        ]
        shown += [results[name] for name in names if name in results]
        if bars:
            groups.append(Group(label, bars))
    if not groups:
        return []
    limits = shown[0]["limitsPerS"]
    return [
        *groups,
        Group(
            "PostgreSQL alone: an order’s five statements",
            [
                Bar(limits["unbatched"], LIMIT, "one commit each, 32 connections"),
                Bar(limits["batched"], LIMIT, "200 orders a statement", is_broken=True),
            ],
        ),
    ]


def measured_on(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The machine, and every commit that the figures come from."""
    commits = sorted({result["commit"] for result in results.values() if result["commit"]})
    machine = next(iter(results.values()))["machine"]
    of = f" · commit {', '.join(commits)}" if commits else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, shared with the load generator, "
        f"PostgreSQL and Redis{of}"
    )


def draw(groups: Sequence[Group], *, subtitle: str) -> str:
    """One SVG without scripts, styles or fonts of its own: it must look the same wherever a README is read."""
    scale = LONGEST / max(bar.per_s for group in groups for bar in group.bars if not bar.is_broken)
    parts, y = [], float(TOP)
    for group in groups:
        height = len(group.bars) * (BAR + GAP) - GAP
        parts += text(MARGIN, y + height / 2 + 5, group.label, width=LABELS - MARGIN)
        for bar in group.bars:
            parts += draw_bar(bar, y, scale)
            y += BAR + GAP
        y += GROUP_GAP
    bottom = y - GROUP_GAP + GAP
    axis = f'<path d="M{LABELS} {TOP - 8}V{bottom:g}" stroke="{FAINT}" stroke-width="1"/>'
    height = bottom + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
            f'viewBox="0 0 {WIDTH} {height:g}" role="img" {FONT}>',
            "<title>Orders completed per second</title>",
            f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#ffffff"/>',
            *text(MARGIN, 38, "Orders completed per second", size=19, weight=600),
            *text(MARGIN, 60, subtitle, size=12, color=FAINT),
            *draw_legend(),
            *parts,
            axis,
            "</svg>\n",
        ]
    )


def draw_bar(bar: Bar, y: float, scale: float) -> Iterator[str]:
    length = LONGEST if bar.is_broken else bar.per_s * scale
    yield f'<rect x="{LABELS}" y="{y:g}" width="{length:.1f}" height="{BAR}" fill="{bar.color}"/>'
    if bar.is_broken:
        x = LABELS + LONGEST - 40
        yield (
            f'<path d="M{x} {y + BAR + 2:g}l6 -{BAR + 4}m5 0l-6 {BAR + 4}" '
            'stroke="#ffffff" stroke-width="3" fill="none"/>'
        )
    label = f"{bar.per_s:,.0f}"
    yield from text(LABELS + length + 8, y + BAR - 5, label, weight=600)
    if bar.note:
        yield from text(LABELS + 8, y + BAR - 6, bar.note, size=12)


def draw_legend() -> Iterator[str]:
    x = MARGIN
    for color, label in LEGEND:
        yield f'<rect x="{x}" y="76" width="12" height="12" rx="2" fill="{color}"/>'
        yield from text(x + 18, 87, label, size=12, color=FAINT)
        x += 40 + round(6.3 * len(label))


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 13,
    weight: int = 400,
    color: str = INK,
    width: int = 0,
) -> Iterator[str]:
    """On two lines if one would be longer than `width`."""
    lines = [words]
    if width and 6.6 * len(words) > width:
        middle = words.find(" ", len(words) // 2 - 4)
        lines = [words[:middle], words[middle + 1 :]]
    y -= (len(lines) - 1) * size * 0.62
    for line in lines:
        yield (
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{color}">'
            f"{escape(line)}</text>"
        )
        y += size * 1.24
