"""A crowd of sockets on the stream process, and what it came to: see crowd_load.py, which does the work."""

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.crowd_load import CrowdOrder
from benchmarks.generator import read_followed, run_generator
from benchmarks.load import Followed
from benchmarks.scenarios import Scenario
from benchmarks.stages import Stages
from config.stack.ready import Ready

# So many of the sockets, in a second part, follow the account's orders.
ONE_IN = 5


@dataclass(frozen=True)
class Crowd:
    """`followed` are first the orders that came through the sockets, then those of the account's stream."""

    followed: list[Followed]
    figures: dict[str, float]
    troubles: list[str]
    cpu_s: float


def drive_crowd(scenario: Scenario, ready: Ready, stages: Stages) -> Crowd:
    """Raises BenchError."""
    order = CrowdOrder(
        url=ready.url,
        ws_url=ready.ws_url,
        api_key=ready.api_key,
        stream_pid=ready.pids.get("stream") or ready.pids["web"],
        sockets=scenario.crowd,
        clients=max(1, scenario.crowd // ONE_IN),
        orders=scenario.orders,
        concurrency=scenario.concurrency,
    )
    with (
        stages.stage("sockets open", order.sockets) as opened,
        stages.stage("streams ended", order.sockets) as ended,
        stages.stage("account streams open", order.clients) as joined,
        stages.stage("orders to all of them", 2 * order.orders) as delivered,
    ):

        def tell(line: dict[str, Any]) -> None:
            opened(line["opened"])
            ended(line["ended"])
            joined(line["joined"])
            delivered(line["delivered"])

        told = run_generator("benchmarks.crowd_load", asdict(order), tell)
    return Crowd(
        followed=read_followed(told),
        figures=told["figures"],
        troubles=told["troubles"],
        cpu_s=told["cpuSeconds"],
    )
