"""The trading page while its account's orders move on faster than anybody reads.

Orders are placed at an even pace, and each lands so long after it that 500 are open at any time. All of it is real:
the engine executes them, and the page hears of each step over its socket.
"""

import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg
from playwright.sync_api import CDPSession, Page, WebSocket

from benchmarks.browser import Visitor, timing_tasks
from benchmarks.generator import BenchError
from benchmarks.load import SWAP
from benchmarks.measure import percentile
from benchmarks.page_load import WATCH
from config.stack.ready import Ready

OPEN_ORDERS = 500
EVENTS_PER_S = 100
# An order has five events. More than enough of them, since the machine has other things to do, too.
ORDERS_PER_S = 26
LANDS_AFTER_MS = 25_000
BATCHES_PER_S = 2
LASTS_S = 20.0
BUILDS_UP_WITHIN_S = 90.0
# Typed over and over, at a pace at which each gets its quote.
KEYS = ("1", "2", ".", "5", "Backspace", "Backspace", "Backspace", "Backspace")
KEY_EVERY_MS = 300
FRAME_MS = 1000 / 60


@dataclass(frozen=True)
class Rush:
    """`busy_share` is how much of one core the page's main thread used. A frame is dropped if nothing new was drawn."""

    orders_listed: str
    orders_open: int
    events_per_s: float
    long_tasks: int
    longest_task_ms: float
    longest_used_ms: float
    frame_p50_ms: float
    frame_p95_ms: float
    frame_worst_ms: float
    frames_dropped: float
    key_p50_ms: float
    key_p95_ms: float
    busy_share: float
    blotter_nodes: int


@contextmanager
def orders_placed(ready: Ready) -> Iterator[None]:
    """At the pace, from a thread of its own, until the end."""
    ended = threading.Event()
    count = ORDERS_PER_S // BATCHES_PER_S

    def place() -> None:
        due = time.monotonic()
        while not ended.wait(max(0.0, due - time.monotonic())):
            place_batch(ready, count=count)
            due += 1 / BATCHES_PER_S

    placing = threading.Thread(target=place, name="place-orders", daemon=True)
    placing.start()
    try:
        yield
    finally:
        ended.set()
        placing.join()


def place_batch(ready: Ready, *, count: int) -> str:
    """The id of the last of them. Raises BenchError."""
    request = urllib.request.Request(
        f"{ready.url}/api/orders/batch",
        data=json.dumps({"orders": [SWAP] * count}).encode(),
        headers={"Authorization": f"Bearer {ready.api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    if told["accepted"] != count:
        raise BenchError(f"Only {told['accepted']} of {count} orders were accepted.")
    return str(told["results"][-1]["order"]["orderId"])


def count_open(ready: Ready) -> int:
    with psycopg.connect(ready.database_url) as database:
        row = database.execute("SELECT count(*) FROM orders_order WHERE due_at IS NOT NULL")
        return int((row.fetchone() or [0])[0])


def wait_for_open(ready: Ready, *, at_least: int = 0, at_most: int | None = None) -> None:
    """Raises BenchError if the engine doesn't come there in time."""
    deadline = time.monotonic() + BUILDS_UP_WITHIN_S
    while time.monotonic() < deadline:
        count = count_open(ready)
        if count >= at_least and (at_most is None or count <= at_most):
            return
        time.sleep(0.25)
    raise BenchError(f"{count} orders are open after {BUILDS_UP_WITHIN_S:.0f} s.")


def rush(visitor: Visitor, ready: Ready) -> Rush:
    """Somebody types in the ticket. What moves the orders meanwhile is the caller's to start."""
    with visitor.page() as page:
        page.add_init_script(path=WATCH)
        heard = hear(page)
        page.goto("/")
        # Not until the network is idle: in the rush it never is.
        for there in ("#blotter [role=row]", ".price-chart[aria-busy=false]"):
            page.locator(there).first.wait_for()
        processor = page.context.new_cdp_session(page)
        processor.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate("pageWatch.begin()")
        heard.clear()
        open_before, used_s, began_at = count_open(ready), used_seconds(processor), time.monotonic()
        with timing_tasks(page) as tasks_used_ms:
            type_for(page, LASTS_S)
        used_s, lasted_s = used_seconds(processor) - used_s, time.monotonic() - began_at
        seen: dict[str, Any] = page.evaluate("() => ({...pageWatch})")
        return Rush(
            orders_listed=page.locator("#blotter-count").inner_text().split(";")[0],
            orders_open=min(open_before, count_open(ready)),
            events_per_s=heard["order.event"] / lasted_s,
            longest_used_ms=max(tasks_used_ms),
            busy_share=used_s / lasted_s,
            blotter_nodes=page.locator("#blotter *").count(),
            **figures(seen),
        )


def figures(seen: dict[str, Any]) -> dict[str, Any]:
    tasks_ms = [task["duration"] for task in seen["longTasks"]]
    frames_ms = [after - before for before, after in pairwise(seen["frames"])]
    dropped = sum(max(0, round(frame_ms / FRAME_MS) - 1) for frame_ms in frames_ms)
    return {
        "long_tasks": len(tasks_ms),
        "longest_task_ms": max(tasks_ms, default=0.0),
        "frame_p50_ms": percentile(frames_ms, 0.50),
        "frame_p95_ms": percentile(frames_ms, 0.95),
        "frame_worst_ms": max(frames_ms),
        "frames_dropped": dropped / (len(frames_ms) + dropped),
        "key_p50_ms": percentile(seen["keysMs"], 0.50),
        "key_p95_ms": percentile(seen["keysMs"], 0.95),
    }


def hear(page: Page) -> Counter[str]:
    """How many messages of each type come over the page's sockets."""
    heard: Counter[str] = Counter()

    def note(payload: str | bytes) -> None:
        heard[str(json.loads(payload)["type"])] += 1

    def follow(socket: WebSocket) -> None:
        socket.on("framereceived", note)

    page.on("websocket", follow)
    return heard


def type_for(page: Page, seconds: float) -> None:
    page.get_by_label("You pay").focus()
    until, typed = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        page.keyboard.press(KEYS[typed % len(KEYS)])
        typed += 1
        page.wait_for_timeout(KEY_EVERY_MS)


def used_seconds(processor: CDPSession) -> float:
    """Of the processor, by the page's main thread: what the system took from it meanwhile is left out."""
    metrics = processor.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))
