"""What a run is written down as: one JSON file per scenario, and a table for people."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Checks, Figures
from benchmarks.scenarios import Scenario
from config.stack.engine_processes import PROJECT
from config.stack.ready import Ready, camel_case

PACKAGES = ("django", "djangorestframework", "channels", "channels-redis", "daphne", "celery")
MAX_TROUBLES = 5


@dataclass(frozen=True)
class Result:
    scenario: Scenario
    figures: Figures
    checks: Checks
    # Cores in use on average over the run, by process; "others" is whatever else this machine did.
    cores: Mapping[str, float]
    versions: Mapping[str, str]
    load_before: float


def write(result: Result, *, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.scenario.name}.json"
    scenario = result.scenario
    content = {
        "name": scenario.name,
        "title": scenario.title,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine() | {"loadBefore": round(result.load_before, 2)},
        "versions": dict(result.versions),
        "load": {
            "orders": scenario.orders,
            "concurrency": scenario.concurrency,
            "socketPerOrder": scenario.sockets,
            "generator": "its own process on the same machine",
        },
        "taskEvents": "off",
        "settings": scenario.environment,
        "figures": _in_camel_case(asdict(result.figures)),
        "cores": dict(result.cores),
        "checks": _in_camel_case(asdict(result.checks)) | {"passed": result.checks.passed},
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def show(results: Sequence[Result], console: Console) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    console.print(_figures_table(results))
    for result in results:
        checks = result.checks
        ends = ", ".join(f"{count} {status}" for status, count in checks.ended.items())
        streams = (
            f"{checks.complete_streams} streams complete: nothing missed, repeated or out of order"
            if checks.complete_streams is not None
            else f"{checks.complete_logs} logs complete (no streams)"
        )
        cores = ", ".join(f"{name} {used:.2f}" for name, used in result.cores.items())
        say(f"[bold]{result.scenario.name}[/]: {result.scenario.title}")
        say(
            f"  {checks.accepted} of {result.scenario.orders} accepted; {ends or 'none ended'}; "
            f"{streams}; {checks.reconnects} reconnects"
        )
        say(f"  cores in use: {cores}")
        for trouble in checks.troubles[:MAX_TROUBLES]:
            console.print(f"  {trouble}", style="red", markup=False)
        if left := len(checks.troubles[MAX_TROUBLES:]):
            console.print(f"  and {left} more", style="red")
    say(
        f"\nThe load generator shares this machine ({os.cpu_count()} cores) with the engine. "
        "Task events, for Flower, are off."
    )


def _figures_table(results: Sequence[Result]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Scenario", no_wrap=True)
    for name in (
        "Accepted/s",
        "Completed/s",
        "Submit p50",
        "p99",
        "End to end p50",
        "p99",
    ):
        table.add_column(name, justify="right")
    for result in results:
        figures = result.figures
        table.add_row(
            result.scenario.name,
            f"{figures.accepted_per_s:,.0f}",
            f"{figures.completed_per_s:,.0f}",
            *(
                readable(ms)
                for ms in (
                    figures.submit_p50_ms,
                    figures.submit_p99_ms,
                    figures.end_to_end_p50_ms,
                    figures.end_to_end_p99_ms,
                )
            ),
        )
    return table


def readable(ms: float) -> str:
    """Three digits or so: `12 ms`, `1.53 s`, `26.4 s`."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.2f} s" if ms < 10_000 else f"{ms / 1000:.1f} s"


def versions(ready: Ready) -> dict[str, str]:
    """Of Python, the packages, and the servers that answered."""
    with psycopg.connect(ready.database_url) as database:
        postgres = database.info.parameter_status("server_version") or ""
    with redis.Redis.from_url(ready.redis_url) as server:
        redis_version = str(server.info("server")["redis_version"])
    packages = {name: version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        **packages,
        "postgresql": postgres,
        "redis": redis_version,
    }


def machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
    }


def commit() -> str:
    """Short, with a + if files differ from it; empty outside a clone."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ":!benchmarks/results")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _in_camel_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        camel_case(name): round(value, 1) if isinstance(value, float) else value
        for name, value in fields.items()
    }
