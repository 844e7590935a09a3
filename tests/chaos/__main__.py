"""`python -m tests.chaos`: disturb a real engine under load; exit 0 only if every promise was kept."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from benchmarks.__main__ import positive
from config.stack.server_binaries import EmbeddedServerError
from tests.chaos import report
from tests.chaos.engine import ChaosError
from tests.chaos.plan import Plan, in_short, whole
from tests.chaos.run import Progress, Report, run


def main() -> int:
    plan = parse(sys.argv[1:])
    # However it is asked to stop: asyncio makes Ctrl-C a cancellation, and the run stops what it started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console()
    try:
        done = asyncio.run(show(plan, console))
    except (ChaosError, EmbeddedServerError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 1
    for text in report.lines(done):
        style = "red" if text.startswith("TROUBLE") else None
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    return 0 if done.verdict.passed else 1


async def show(plan: Plan, console: Console) -> Report:
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}"),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        return await run(plan, teller(plan, console, bars))


def teller(plan: Plan, console: Console, bars: Bars) -> Callable[[Progress], None]:
    """Moves the bars; without a terminal, where there are none, says what happens in lines."""
    accepted = bars.add_task("accepted", total=plan.orders, doing="")
    ended = bars.add_task("ended", total=plan.orders, doing="")
    disturbed = bars.add_task("disturbed", total=len(plan.disturbances), doing="")
    said = ""

    def tell(progress: Progress) -> None:
        nonlocal said
        bars.update(accepted, completed=progress.accepted)
        bars.update(ended, completed=progress.ended)
        bars.update(disturbed, completed=progress.disturbances, doing=progress.doing)
        if progress.doing != said and not console.is_terminal:
            console.print(
                f"{progress.accepted:5} accepted, {progress.ended:5} ended: {progress.doing}",
                highlight=False,
            )
        said = progress.doing

    return tell


def parse(words: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--orders", type=positive, help="3000, or 150 with --quick")
    parser.add_argument("--clients", type=positive, help="that submit at once (24, or 8)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule and the market (1)")
    parser.add_argument("--quick", action="store_true", help="the short form that CI runs")
    told = parser.parse_args(words)
    if told.quick:
        return in_short(orders=told.orders or 150, clients=told.clients or 8, seed=told.seed)
    return whole(orders=told.orders or 3000, clients=told.clients or 24, seed=told.seed)


if __name__ == "__main__":
    sys.exit(main())
