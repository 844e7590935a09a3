"""One run of a scenario: an engine of its own, the load, what it amounts to, and the audit."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace

from benchmarks.audited import audit
from benchmarks.crowd import drive_crowd
from benchmarks.engine import Engine, busy_seconds, cpu_seconds, running_engine, watching_memory
from benchmarks.generator import drive
from benchmarks.history import fill
from benchmarks.machine import versions
from benchmarks.measure import Checks, check, measure, read_log, read_names
from benchmarks.plans import explain, whole_table_reads
from benchmarks.results import Run
from benchmarks.scenarios import Scenario
from benchmarks.stages import Stages

# Unmeasured: the first orders wait for connections, imports and plans.
WARM_UP_ORDERS = 50


@dataclass(frozen=True)
class Measured:
    """What came of one load on a running engine."""

    figures: dict[str, float]
    checks: Checks
    cores: Mapping[str, float]
    plans: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass
class Usage:
    """Of the processor, between two moments."""

    cores: dict[str, float] = field(default_factory=dict)
    engine_s: float = 0.0
    generator_s: float = 0.0


def run(scenario: Scenario, stages: Stages) -> Run:
    """Raises StackError and BenchError."""
    load_before = os.getloadavg()[0]
    with ExitStack() as at_the_end:
        with stages.stage("starting an engine"):
            engine = at_the_end.enter_context(running_engine(scenario.environment))
        with watching_memory(engine.ready) as peaks:
            measured = measurement_of(scenario)(scenario, engine, stages)
        audited = audit(engine, stages)
        figures = {"worker_memory_peak_mib": peaks["worker"], "audit_s": audited.took_s}
        return Run(
            figures=measured.figures | figures,
            checks=measured.checks,
            audit=audited,
            cores=measured.cores,
            memory_peak_mib=peaks,
            versions=versions(engine.ready),
            load_before=load_before,
            plans=measured.plans,
        )


def measurement_of(scenario: Scenario) -> Callable[[Scenario, Engine, Stages], Measured]:
    if scenario.crowd:
        return with_a_crowd
    return as_history_grows if scenario.history else under_load


def under_load(scenario: Scenario, engine: Engine, stages: Stages) -> Measured:
    """Submit orders, follow each to its end."""
    ready = engine.ready
    warm_up = min(max(WARM_UP_ORDERS, scenario.concurrency), scenario.orders)
    drive(replace(scenario, orders=warm_up), ready, stages)
    since = time.time()
    with used_meanwhile(engine) as usage:
        followed, told = drive(scenario, ready, stages)
        usage.generator_s = told["cpuSeconds"]
    if scenario.batch > 1:
        names = read_names(ready.database_url, since=since)
        for one in followed:
            one.order_id = names.get(one.client_order_id, "")
    log = read_log(ready.database_url, since=since)
    figures = asdict(measure(followed, log=log, sockets=scenario.sockets))
    figures["cpu_ms_per_order"] = usage.engine_s * 1000 / scenario.orders
    if not scenario.sockets:
        figures["peak_in_flight"] = told["peakInFlight"]
    return Measured(
        figures=figures,
        checks=check(followed, wanted=scenario.orders, log=log, sockets=scenario.sockets),
        cores=usage.cores,
    )


def as_history_grows(scenario: Scenario, engine: Engine, stages: Stages) -> Measured:
    """The same load twice on one engine: with empty tables, and with full ones."""
    empty = under_load(scenario, engine, stages)
    fill(engine, orders=scenario.history, stages=stages)
    full = under_load(scenario, engine, stages)
    with stages.stage("plans"):
        plans = explain(engine)
    figures = full.figures | {
        "completed_per_s_empty": empty.figures["completed_per_s"],
        "cpu_ms_per_order_empty": empty.figures["cpu_ms_per_order"],
        "cost_growth": full.figures["cpu_ms_per_order"] / empty.figures["cpu_ms_per_order"],
        "whole_table_reads": len(whole_table_reads(plans)),
    }
    troubles = [*empty.checks.troubles, *full.checks.troubles]
    return replace(
        full, figures=figures, checks=replace(full.checks, troubles=troubles), plans=plans
    )


def with_a_crowd(scenario: Scenario, engine: Engine, stages: Stages) -> Measured:
    """Thousands of sockets that follow an order each, then a thousand that all follow the same account."""
    since = time.time()
    with used_meanwhile(engine) as usage:
        crowd = drive_crowd(scenario, engine.ready, stages)
        usage.generator_s = crowd.cpu_s
    log = read_log(engine.ready.database_url, since=since)
    checks = check(crowd.followed, wanted=len(crowd.followed), log=log, sockets=True)
    return Measured(
        # The first orders came through the sockets themselves, as fast as these were served.
        figures=asdict(measure(crowd.followed[: scenario.crowd], log=log, sockets=True))
        | crowd.figures,
        checks=replace(checks, troubles=checks.troubles + crowd.troubles),
        cores=usage.cores,
    )


@contextmanager
def used_meanwhile(engine: Engine) -> Iterator[Usage]:
    """Filled in at the end; by then the caller has said what the generator used."""
    used_before, busy_before, started_at = (
        cpu_seconds(engine.ready),
        busy_seconds(),
        time.monotonic(),
    )
    usage = Usage()
    yield usage
    elapsed_s = time.monotonic() - started_at
    used = {name: s - used_before[name] for name, s in cpu_seconds(engine.ready).items()}
    usage.engine_s = sum(used.values())
    used["load generator"] = usage.generator_s
    used["others"] = max(0.0, busy_seconds() - busy_before - sum(used.values()))
    usage.cores = {name: round(seconds / elapsed_s, 2) for name, seconds in used.items()}
