"""`python -m tests.simulation --seeds 10000`: many seeds on all cores, with progress; failing ones are printed.

A seed that failed replays exactly: `python -m tests.simulation --first SEED --seeds 1`.
"""

import argparse
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.embedded import name_servers


def main() -> int:
    arguments = parse_arguments()
    started = time.monotonic()
    with ExitStack() as undo:
        if not arguments.server:
            name_servers(undo)
        jobs = [start(job, arguments) for job in range(arguments.jobs)]
        undo.callback(lambda: [job.kill() for job in jobs])
        broken = watch(jobs, total=arguments.seeds)
        for job in jobs:
            job.wait()
    crashed = [job.returncode for job in jobs if job.returncode]
    took_s = time.monotonic() - started
    print(f"{arguments.seeds} seeds from {arguments.first}: {len(broken)} broken, {took_s:.0f} s")
    if broken:
        print("broken seeds:", *broken)
    return 1 if broken or crashed else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--bug", default="", help="plant this bug: see tests/simulation/bugs.py")
    parser.add_argument(
        "--server", action="store_true", help="use the server that DATABASE_URL names"
    )
    return parser.parse_args()


def start(job: int, arguments: argparse.Namespace) -> "subprocess.Popen[str]":
    server, _, name = os.environ["DATABASE_URL"].rpartition("/")
    database = f"{server}/{name.partition('?')[0]}_simulation_{job}"
    environment = os.environ | {
        "DATABASE_URL": database,
        "CHAIN_DATABASE_URL": f"{database}_chain",
        "LOG_LEVEL": "CRITICAL",
        # What a crash of PostgreSQL would lose is not the question here: its own log decides that.
        "PGOPTIONS": "-c synchronous_commit=off",
    }
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.simulation.job",
            str(arguments.first + job),
            str(arguments.first + arguments.seeds),
            str(arguments.jobs),
            arguments.bug,
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def watch(jobs: list["subprocess.Popen[str]"], *, total: int) -> list[int]:
    """Show progress until every job has said what became of each seed; answer those that broke."""
    broken: list[int] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("seeds", total=total)
        for line in lines_of(jobs):
            word, _, rest = line.partition(" ")
            if word == "broken":
                broken.append(int(rest))
                progress.update(task, description=f"seeds, {len(broken)} broken")
            if word in ("held", "broken"):
                progress.advance(task)
            else:
                progress.console.print(line, markup=False, highlight=False)
    return sorted(broken)


def lines_of(jobs: list["subprocess.Popen[str]"]) -> Iterator[str]:
    """What the jobs say, as it comes, until all have ended."""
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen(job: "subprocess.Popen[str]") -> None:
        for line in job.stdout or ():
            said.put(line.rstrip("\n"))
        said.put(None)

    for job in jobs:
        threading.Thread(target=listen, args=[job], daemon=True).start()
    for _ in jobs:
        while (line := said.get()) is not None:
            yield line


if __name__ == "__main__":
    sys.exit(main())
