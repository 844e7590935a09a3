"""What was measured, and how it is written down: one JSON file per scenario."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.audited import Audit
from benchmarks.limits import Limits
from benchmarks.machine import commit, machine
from benchmarks.measure import Checks
from benchmarks.scenarios import Scenario
from config.stack.ready import camel_case


@dataclass(frozen=True)
class Run:
    """One run of a scenario. A figure's name says its unit."""

    figures: Mapping[str, float]
    checks: Checks
    audit: Audit
    # Cores in use on average over the run, by process; "others" is whatever else this machine did.
    cores: Mapping[str, float]
    # The most that each of our processes held.
    memory_peak_mib: Mapping[str, float]
    versions: Mapping[str, str]
    load_before: float
    # How PostgreSQL answers what is asked most, with full tables.
    plans: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.checks.passed and self.audit.exit_code == 0


@dataclass(frozen=True)
class Result:
    """A scenario's runs; its figures are their medians."""

    scenario: Scenario
    limits: Limits
    runs: Sequence[Run]

    @property
    def figures(self) -> dict[str, float]:
        return medians([run.figures for run in self.runs])

    @property
    def passed(self) -> bool:
        return all(run.passed for run in self.runs)

    @property
    def share_of_limits(self) -> dict[str, float]:
        """What we complete, as a share of what PostgreSQL alone would."""
        completed = self.figures["completed_per_s"]
        return {name: completed / rate for name, rate in asdict(self.limits).items()}


def medians(of: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure that all of them have."""
    return {name: median(each[name] for each in of) for name in of[0]}


def write(result: Result, *, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.scenario.name}.json"
    path.write_text(json.dumps(as_json(result), indent=2) + "\n")
    return path


def as_json(result: Result) -> dict[str, Any]:
    scenario, last = result.scenario, result.runs[-1]
    content: dict[str, Any] = {
        "name": scenario.name,
        "title": scenario.title,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": dict(last.versions),
        "load": {
            "orders": scenario.orders,
            "concurrency": scenario.concurrency,
            "batch": scenario.batch,
            "waitsForEnds": scenario.waits,
            "socketPerOrder": scenario.sockets,
            "socketsAtOnce": scenario.crowd,
            "ordersInTables": scenario.history,
            "generator": "its own process on the same machine",
        },
        "taskEvents": "off",
        "settings": scenario.environment,
        "figures": in_camel_case(result.figures),
        "limitsPerS": in_camel_case(asdict(result.limits)),
        "shareOfLimits": {name: round(x, 3) for name, x in result.share_of_limits.items()},
        "passed": result.passed,
        "runs": [_run_as_json(run) for run in result.runs],
    }
    return content | ({"plans": dict(last.plans)} if last.plans else {})


def _run_as_json(run: Run) -> dict[str, Any]:
    return {
        "figures": in_camel_case(run.figures),
        "cores": dict(run.cores),
        "memoryPeakMiB": {name: round(mib) for name, mib in run.memory_peak_mib.items()},
        "loadBefore": round(run.load_before, 2),
        "checks": in_camel_case(asdict(run.checks)) | {"passed": run.checks.passed},
        "audit": in_camel_case(asdict(run.audit)),
    }


def in_camel_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        camel_case(name): round(value, 2) if isinstance(value, float) else value
        for name, value in fields.items()
    }
