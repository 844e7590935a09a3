"""`python -m benchmarks.pages`: how fast the pages are, in a real browser, on an engine of its own.

Each page is loaded with an empty cache, again and again, by somebody whose account has no orders, then 500. Then the
trading page stays open for 20 s while 500 orders are open, 100 events arrive each second, and somebody types.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.browser import running_chromium, sign_in
from benchmarks.engine import running_engine
from benchmarks.generator import BenchError
from benchmarks.machine import commit, machine
from benchmarks.page_load import PageLoad, load_often
from benchmarks.page_rush import (
    EVENTS_PER_S,
    LANDS_AFTER_MS,
    LASTS_S,
    OPEN_ORDERS,
    Rush,
    orders_placed,
    place_batch,
    rush,
    wait_for_open,
)
from benchmarks.scenarios import SETTINGS
from benchmarks.stages import Stages
from config.stack import StackError

MODES = ("together", "split")
DELAYS = {"MOCK_QUOTE_DELAY_MS": "0", "MOCK_SWAP_DELAY_MS": str(LANDS_AFTER_MS)}
# What is promised.
INTERACTIVE_WITHIN_MS = 1_000
TASKS_WITHIN_MS = 100
TRANSFERS_WITHIN_KIB = 200


@dataclass(frozen=True)
class PageToLoad:
    """`path` may name `{order}`, one that is confirmed."""

    name: str
    path: str


NO_ORDERS = "Trade, no orders"
PAGES = (
    PageToLoad(f"Trade, {OPEN_ORDERS} orders", "/"),
    PageToLoad("Order", "/orders/{order}"),
    PageToLoad("Operations", "/ops/"),
)


@dataclass(frozen=True)
class Measured:
    """Of one way to serve the pages."""

    mode: str
    loads: Mapping[str, PageLoad]
    quiet: Rush
    busy: Rush


LOAD_ROWS: Mapping[str, Callable[[PageLoad], str]] = {
    "interactive, ms": lambda load: f"{load.interactive_ms:.0f}",
    "first contentful paint, ms": lambda load: f"{load.first_paint_ms:.0f}",
    "largest contentful paint, ms": lambda load: f"{load.largest_paint_ms:.0f}",
    "long tasks": lambda load: f"{load.long_tasks:.0f}",
    "longest task, ms": lambda load: f"{load.longest_task_ms:.0f}",
    "most of the processor in one, ms": lambda load: f"{load.longest_used_ms:.0f}",
    "total blocking time, ms": lambda load: f"{load.blocked_ms:.0f}",
    "cumulative layout shift": lambda load: f"{load.layout_shift:.4f}",
    "transferred, KiB": lambda load: f"{load.transferred_kib:.0f}",
    "requests": lambda load: f"{load.requests:.0f}",
}
RUSH_ROWS: Mapping[str, Callable[[Rush], str]] = {
    "listed": lambda rush: rush.orders_listed,
    "of them open, at least": lambda rush: f"{rush.orders_open}",
    "events/s that the page heard": lambda rush: f"{rush.events_per_s:.0f}",
    "long tasks": lambda rush: f"{rush.long_tasks}",
    "longest task, ms": lambda rush: f"{rush.longest_task_ms:.0f}",
    "most of the processor in one, ms": lambda rush: f"{rush.longest_used_ms:.0f}",
    "frame, p50, ms": lambda rush: f"{rush.frame_p50_ms:.1f}",
    "frame, p95, ms": lambda rush: f"{rush.frame_p95_ms:.1f}",
    "frame, worst, ms": lambda rush: f"{rush.frame_worst_ms:.0f}",
    "frames dropped": lambda rush: f"{rush.frames_dropped:.1%}",
    "key to next frame, p50, ms": lambda rush: f"{rush.key_p50_ms:.0f}",
    "key to next frame, p95, ms": lambda rush: f"{rush.key_p95_ms:.0f}",
    "main thread, of one core": lambda rush: f"{rush.busy_share:.0%}",
    "elements in the blotter": lambda rush: f"{rush.blotter_nodes}",
}


def main() -> int:
    options = parse(sys.argv[1:])
    console = Console()
    load_before = os.getloadavg()[0]
    # However it is asked to stop, the engine stops on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with Stages(console) as stages:
            done = [
                measure(mode, loads=options.loads, stages=stages) for mode in options.web or MODES
            ]
    except (StackError, BenchError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 1
    for table in (table for each in done for table in tables(each, loads=options.loads)):
        console.print(table)
    where = machine()
    console.print(
        f"{where['processor']}, {where['cores']} cores, shared with the engine, the browser and whatever else runs; "
        f"load before {load_before:.1f}; commit {commit()}.",
        highlight=False,
        soft_wrap=True,
    )
    missed = [sentence for each in done for sentence in misses(each)]
    for sentence in missed:
        console.print(sentence, style="red", highlight=False, soft_wrap=True)
    return 1 if missed else 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--web", choices=MODES, action="append", help="both, unless named")
    parser.add_argument("--loads", type=int, default=7, help="of each page (7); medians count")
    return parser.parse_args(words)


def measure(mode: str, *, loads: int, stages: Stages) -> Measured:
    """Raises StackError and BenchError."""
    with ExitStack() as at_the_end:
        with stages.stage(f"starting an engine, WEB={mode}"):
            settings = {**SETTINGS, **DELAYS, "WEB": mode}
            ready = at_the_end.enter_context(running_engine(settings)).ready
            browser = at_the_end.enter_context(running_chromium())
        visitor = sign_in(
            browser, url=ready.url, user=ready.admin_user, password=ready.admin_password
        )
        measured = {NO_ORDERS: load_often(visitor, "/", times=loads, stages=stages)}
        with stages.stage(f"{OPEN_ORDERS} orders"):
            order_id = place_batch(ready, count=OPEN_ORDERS)
            wait_for_open(ready, at_most=0)
        for page in PAGES:
            path = page.path.format(order=order_id)
            measured[page.name] = load_often(visitor, path, times=loads, stages=stages)
        with stages.stage("typing, and nothing else"):
            quiet = rush(visitor, ready)
        with orders_placed(ready):
            with stages.stage(f"until {OPEN_ORDERS} orders are open"):
                wait_for_open(ready, at_least=OPEN_ORDERS)
            with stages.stage(f"typing, {EVENTS_PER_S} events a second"):
                busy = rush(visitor, ready)
        return Measured(mode=mode, loads=measured, quiet=quiet, busy=busy)


def tables(measured: Measured, *, loads: int) -> Iterator[Table]:
    of = f"WEB={measured.mode}"
    yield as_table(
        f"{of}: loads with an empty cache, medians of {loads}", measured.loads, LOAD_ROWS
    )
    title = f"{of}: the trading page for {LASTS_S:.0f} s, while somebody types"
    yield as_table(title, {"nothing else": measured.quiet, "in the rush": measured.busy}, RUSH_ROWS)


def as_table(
    title: str, columns: Mapping[str, Any], rows: Mapping[str, Callable[[Any], str]]
) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for name, shown in rows.items():
        table.add_row(name, *(shown(column) for column in columns.values()))
    return table


def misses(measured: Measured) -> Iterator[str]:
    """A sentence for each promise that was not kept."""
    of = f"WEB={measured.mode}"
    for name, load in measured.loads.items():
        if load.interactive_ms >= INTERACTIVE_WITHIN_MS:
            yield f"{of}: {name} is interactive after {load.interactive_ms:.0f} ms."
        if load.transferred_kib >= TRANSFERS_WITHIN_KIB:
            yield f"{of}: {name} transfers {load.transferred_kib:.0f} KiB."
    if measured.busy.longest_task_ms >= TASKS_WITHIN_MS:
        yield f"{of}: a task of the trading page took {measured.busy.longest_task_ms:.0f} ms."
    if measured.busy.events_per_s < EVENTS_PER_S:
        yield f"{of}: only {measured.busy.events_per_s:.0f} events a second came."
    if measured.busy.orders_open < OPEN_ORDERS:
        yield f"{of}: only {measured.busy.orders_open} orders were open."


if __name__ == "__main__":
    sys.exit(main())
