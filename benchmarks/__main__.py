"""`python -m benchmarks`: run the scenarios, write the results, exit 0 only if every promise was kept."""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import chart, report, results
from benchmarks.generator import BenchError
from benchmarks.limits import measure_limits
from benchmarks.results import Result
from benchmarks.run import run
from benchmarks.scenarios import QUICK_ORDERS, SCENARIOS, Scenario
from benchmarks.stages import Stages
from config.stack import StackError
from config.stack.engine_processes import PROJECT

RESULTS = PROJECT / "benchmarks" / "results"


def main() -> int:
    options = parse(sys.argv[1:])
    console = Console()
    # However it is asked to stop, the engine stops on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    done: list[Result] = []
    try:
        with Stages(console) as stages:
            console.print("PostgreSQL alone: the limits", highlight=False)
            limits = measure_limits(stages, quick=options.quick)
            for scenario in chosen(options):
                runs = []
                for nth in range(1, options.repeat + 1):
                    of = f" (run {nth} of {options.repeat})" if options.repeat > 1 else ""
                    console.print(f"{scenario.name}: {scenario.title}{of}", highlight=False)
                    runs.append(run(scenario, stages))
                done.append(Result(scenario=scenario, limits=limits, runs=runs))
                if options.results:
                    path = results.write(done[-1], folder=options.results)
                    console.print(f"Written: {path}", highlight=False, soft_wrap=True)
        if options.results and (path := chart.write(options.results)):
            console.print(f"Written: {path}", highlight=False, soft_wrap=True)
    except (StackError, BenchError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 1
    report.show(done, console)
    return 0 if all(result.passed for result in done) else 1


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", choices=names, action="append", help="may be repeated")
    parser.add_argument("--orders", type=positive, help="of each scenario")
    parser.add_argument("--concurrency", type=positive, help="clients that submit at once")
    parser.add_argument("--worker-threads", type=positive, help="WORKER_CONCURRENCY (10)")
    parser.add_argument("--repeat", type=positive, default=1, help="runs of each; medians count")
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
    wanted = [
        scenario.changed(
            orders=options.orders,
            concurrency=options.concurrency,
            worker_threads=options.worker_threads,
        )
        for scenario in SCENARIOS
        if scenario.name in (options.only or [scenario.name])
    ]
    return [scenario.made_quick() for scenario in wanted] if options.quick else wanted


if __name__ == "__main__":
    sys.exit(main())
