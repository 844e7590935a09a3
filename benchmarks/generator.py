"""Starts a load generator, a process of its own, and hears it out."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from benchmarks.load import Followed, LoadOrder
from benchmarks.scenarios import Scenario
from benchmarks.stages import Stages
from config.stack.engine_processes import PROJECT
from config.stack.ready import Ready


class BenchError(Exception):
    """The run can't go on; the message is one sentence that says why."""


def drive(
    scenario: Scenario, ready: Ready, stages: Stages
) -> tuple[list[Followed], dict[str, Any]]:
    """Submit the scenario's orders and wait for their ends: what was seen of each, and what else was told."""
    order = LoadOrder(
        url=ready.url,
        ws_url=ready.ws_url,
        api_key=ready.api_key,
        database_url=ready.database_url,
        orders=scenario.orders,
        concurrency=scenario.concurrency,
        sockets=scenario.sockets,
        batch=scenario.batch,
        waits=scenario.waits,
        timeout_s=scenario.timeout_s,
    )
    with (
        stages.stage("accepted", scenario.orders) as accepted,
        stages.stage("ended", scenario.orders) as ended,
    ):

        def tell(line: dict[str, Any]) -> None:
            accepted(line["accepted"])
            ended(line["ended"])

        told = run_generator("benchmarks.load", asdict(order), tell)
    return read_followed(told), told


def read_followed(told: dict[str, Any]) -> list[Followed]:
    followed = [Followed(**fields) for fields in told["orders"]]
    for one in followed:
        one.events = [(seq, status) for seq, status in one.events]
    return followed


def run_generator(
    module: str, order: dict[str, Any], tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The last line that it prints; `tell` is called with each one before. Raises BenchError."""
    generator = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with generator:
        assert generator.stdin and generator.stdout
        try:
            generator.stdin.write(json.dumps(order))
            generator.stdin.close()
            for line in generator.stdout:
                told: dict[str, Any] = json.loads(line)
                if "cpuSeconds" in told:
                    return told
                tell(told)
        except BaseException:
            generator.kill()
            raise
    raise BenchError("The load generator ended before its work was done; its lines above say why.")
