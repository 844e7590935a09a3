"""The results as people read them: tables, and what was checked."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Figures
from benchmarks.results import Result, Run

MAX_TROUBLES = 5
IN_TABLE = frozenset(field.name for field in fields(Figures))
# A figure's name ends in its unit.
UNITS = {"ms": "ms", "s": "s", "kib": "KiB", "mib": "MiB"}


def show(results: Sequence[Result], console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    console.print(_figures_table(results))
    for result in results:
        say(f"[bold]{result.scenario.name}[/]: {result.scenario.title}")
        for run in result.runs:
            for line in _checks_of(run):
                say(f"  {line}")
            _show_troubles(run, console)
        if others := ", ".join(_others(result.figures)):
            say(f"  {others}")
    limits = results[0].limits
    say(
        f"\nPostgreSQL alone on this machine: {limits.unbatched:,.0f} orders/s one by one, "
        f"{limits.batched:,.0f} batched. “Of it” is our completed/s as a share of each.\n"
        f"The load generator shares this machine ({os.cpu_count()} cores) with the engine. "
        "Task events, for Flower, are off."
    )


def _checks_of(run: Run) -> Iterator[str]:
    checks, audit = run.checks, run.audit
    ends = ", ".join(f"{count} {status}" for status, count in checks.ended.items())
    streams = (
        f"{checks.complete_streams} streams complete: nothing missed, repeated or out of order"
        if checks.complete_streams is not None
        else f"{checks.complete_logs} logs complete (no streams)"
    )
    yield (
        f"{checks.accepted} of {checks.submitted} accepted; {ends or 'none ended'}; "
        f"{streams}; {checks.reconnects} reconnects"
    )
    clean = "clean" if audit.exit_code == 0 else f"exit code {audit.exit_code}"
    yield f"audit {clean}: {audit.orders:,} orders, {audit.events:,} events in {audit.took_s:.1f} s"
    yield "cores in use: " + ", ".join(f"{name} {used:.2f}" for name, used in run.cores.items())
    peaks = (f"{name} {mib:.0f} MiB" for name, mib in run.memory_peak_mib.items())
    yield "memory at its peak: " + ", ".join(peaks)


def _show_troubles(run: Run, console: Console) -> None:
    troubles = [*run.checks.troubles, *run.audit.offences]
    for trouble in troubles[:MAX_TROUBLES]:
        console.print(f"  {trouble}", style="red", markup=False)
    if left := len(troubles[MAX_TROUBLES:]):
        console.print(f"  and {left} more", style="red")


def _others(figures: Mapping[str, float]) -> Iterator[str]:
    """What the table has no column for."""
    for name, value in figures.items():
        if name not in IN_TABLE:
            yield figure_in_words(name, value)


def figure_in_words(name: str, value: float) -> str:
    """`delivery_p50_ms`, 1.234 → `delivery p50 1.23 ms`; a figure of another unit keeps its name."""
    words = name.split("_")
    unit = f" {UNITS[words.pop()]}" if words[-1] in UNITS and words[-2] != "per" else ""
    digits = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{' '.join(words)} {digits}{unit}"


def _figures_table(results: Sequence[Result]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Scenario", no_wrap=True)
    for name in (
        *("Accepted/s", "Completed/s", "Of it"),
        *("Submit p50", "p99", "End to end p50", "p99"),
    ):
        table.add_column(name, justify="right")
    for result in results:
        figures, shares = result.figures, result.share_of_limits
        table.add_row(
            result.scenario.name,
            f"{figures['accepted_per_s']:,.0f}",
            f"{figures['completed_per_s']:,.0f}",
            f"{shares['unbatched']:.0%} / {shares['batched']:.0%}",
            *(
                readable(figures[name])
                for name in (
                    *("submit_p50_ms", "submit_p99_ms"),
                    *("end_to_end_p50_ms", "end_to_end_p99_ms"),
                )
            ),
        )
    return table


def readable(ms: float) -> str:
    """Three digits or so: `12 ms`, `1.53 s`, `26.4 s`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.2f} s" if ms < 10_000 else f"{ms / 1000:.1f} s"
