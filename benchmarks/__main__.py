"""`python -m benchmarks`: run the scenarios, write the results, exit 0 only if every promise was kept."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.engine import busy_seconds, cpu_seconds, running_engine
from benchmarks.load import Followed, LoadOrder
from benchmarks.measure import check, measure, read_log
from benchmarks.scenarios import QUICK_ORDERS, SCENARIOS, Scenario
from config.stack import StackError
from config.stack.engine_processes import PROJECT
from config.stack.ready import Ready

RESULTS = PROJECT / "benchmarks" / "results"


class BenchError(Exception):
    """The run can't go on; the message is one sentence that says why."""


def main() -> int:
    options = parse(sys.argv[1:])
    console = Console()
    # However it is asked to stop, the engine stops on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    results: list[report.Result] = []
    try:
        for scenario in chosen(options):
            results.append(run(scenario, console))
            if options.results:
                path = report.write(results[-1], folder=options.results)
                console.print(f"Written: {path}", highlight=False, soft_wrap=True)
    except (StackError, BenchError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 1
    report.show(results, console)
    return 0 if all(result.checks.passed for result in results) else 1


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", choices=names, action="append", help="may be repeated")
    parser.add_argument("--orders", type=positive, help="of each scenario")
    parser.add_argument("--concurrency", type=positive, help="clients that submit at once")
    parser.add_argument("--worker-threads", type=positive, help="WORKER_CONCURRENCY (10)")
    parser.add_argument("--quick", action="store_true", help="few orders; writes no results")
    parser.add_argument("--results", type=Path, help="the folder (benchmarks/results)")
    options = parser.parse_args(words)
    if options.quick:
        options.orders = options.orders or QUICK_ORDERS
    else:
        options.results = options.results or RESULTS
    return options


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def chosen(options: argparse.Namespace) -> list[Scenario]:
    return [
        scenario.changed(
            orders=options.orders,
            concurrency=options.concurrency,
            worker_threads=options.worker_threads,
        )
        for scenario in SCENARIOS
        if scenario.name in (options.only or [scenario.name])
    ]


def run(scenario: Scenario, console: Console) -> report.Result:
    """Raises StackError and BenchError."""
    load_before = os.getloadavg()[0]
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console.print(f"{scenario.title}: starting an engine", highlight=False)
    with running_engine(scenario.environment) as ready:
        with Progress(*columns, console=console, transient=True) as progress:
            # An order per client, unmeasured: the first ones wait for connections and imports.
            warm_up = min(scenario.concurrency, scenario.orders)
            drive(replace(scenario, orders=warm_up), ready, progress)
            used_before, busy_before = cpu_seconds(ready), busy_seconds()
            since, started_at = time.time(), time.monotonic()
            followed, generator_s = drive(scenario, ready, progress)
        elapsed_s = time.monotonic() - started_at
        used = {name: s - used_before[name] for name, s in cpu_seconds(ready).items()}
        used["load generator"] = generator_s
        used["others"] = max(0.0, busy_seconds() - busy_before - sum(used.values()))
        log = read_log(ready.database_url, since=since)
        return report.Result(
            scenario=scenario,
            figures=measure(followed, log=log, sockets=scenario.sockets),
            checks=check(followed, wanted=scenario.orders, log=log, sockets=scenario.sockets),
            cores={name: round(seconds / elapsed_s, 2) for name, seconds in used.items()},
            versions=report.versions(ready),
            load_before=load_before,
        )


def drive(scenario: Scenario, ready: Ready, progress: Progress) -> tuple[list[Followed], float]:
    """Run the load generator to its end: what it saw of each order, and the CPU seconds that it took."""
    order = LoadOrder(
        url=ready.url,
        ws_url=ready.ws_url,
        api_key=ready.api_key,
        database_url=ready.database_url,
        orders=scenario.orders,
        concurrency=scenario.concurrency,
        sockets=scenario.sockets,
        timeout_s=scenario.timeout_s,
    )
    bars = {name: progress.add_task(name, total=scenario.orders) for name in ("accepted", "ended")}
    generator = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with generator:
        assert generator.stdin and generator.stdout
        try:
            generator.stdin.write(json.dumps(asdict(order)))
            generator.stdin.close()
            for line in generator.stdout:
                told = json.loads(line)
                if "orders" in told:
                    followed = [Followed(**fields) for fields in told["orders"]]
                    for one in followed:
                        one.events = [(seq, status) for seq, status in one.events]
                    for bar in bars.values():
                        progress.remove_task(bar)
                    return followed, float(told["cpuSeconds"])
                for name, bar in bars.items():
                    progress.update(bar, completed=told[name])
        except BaseException:
            generator.kill()
            raise
    raise BenchError("The load generator ended before its work was done; its lines above say why.")


if __name__ == "__main__":
    sys.exit(main())
