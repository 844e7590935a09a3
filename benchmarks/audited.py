"""`manage.py audit` on the engine that has just been measured: speed that breaks a promise is not speed."""

import json
import time
from dataclasses import dataclass

from benchmarks.engine import Engine
from benchmarks.stages import Stages


@dataclass(frozen=True)
class Audit:
    """`offences` are sentences of its own."""

    exit_code: int
    took_s: float
    orders: int
    events: int
    landed: int
    offences: list[str]


def audit(engine: Engine, stages: Stages) -> Audit:
    with stages.stage("audit"):
        started_at = time.monotonic()
        done = engine.python("manage.py", "audit", "--json")
        took_s = time.monotonic() - started_at
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return Audit(done.returncode, took_s, 0, 0, 0, [done.stderr.strip()[-500:]])
    offences = [
        f"{check['name']}: {each['orderId']}: {each['detail']}"
        for check in told["checks"]
        for each in check["offenders"]
    ]
    return Audit(done.returncode, took_s, told["orders"], told["events"], told["landed"], offences)
