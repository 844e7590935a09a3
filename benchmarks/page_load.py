"""How long a page takes to be there, and what it weighs: loads with nothing kept of an earlier one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.browser import Visitor, timing_tasks
from benchmarks.generator import BenchError
from benchmarks.results import medians
from benchmarks.stages import Stages

WATCH = Path(__file__).with_name("page_watch.js")
# A task that runs for longer than this keeps people waiting: what is beyond counts as blocked.
UNNOTICED_MS = 50.0

READ = """() => {
  const [navigation] = performance.getEntriesByType("navigation");
  const loaded = [navigation, ...performance.getEntriesByType("resource")];
  const [marked] = performance.getEntriesByName("interactive");
  const [painted] = performance.getEntriesByName("first-contentful-paint");
  return {
    interactiveMs: marked?.startTime ?? navigation.domContentLoadedEventEnd,
    firstPaintMs: painted?.startTime ?? 0,
    bytes: loaded.reduce((sum, { transferSize }) => sum + transferSize, 0),
    requests: loaded.length,
    ...pageWatch,
  };
}"""


@dataclass(frozen=True)
class PageLoad:
    """Milliseconds are since the navigation began.

    A page is interactive when it marks itself so (`performance.mark("interactive")`: everything is wired, and what it
    lists is drawn); one that comes whole from the server, when its modules have run. `longest_used_ms` is how much of
    the processor the most expensive task used: it also tells of the page where the machine is busy with other things.
    """

    interactive_ms: float
    first_paint_ms: float
    largest_paint_ms: float
    long_tasks: float
    longest_task_ms: float
    longest_used_ms: float
    blocked_ms: float
    layout_shift: float
    transferred_kib: float
    requests: float


def load_often(visitor: Visitor, path: str, *, times: int, stages: Stages) -> PageLoad:
    """The medians of so many loads. Raises BenchError."""
    # Unmeasured: what the engine does for the first time, it imports and plans.
    load_once(visitor, path)
    loads = []
    with stages.stage(f"loading {path}", times) as tell:
        for done in range(times):
            loads.append(asdict(load_once(visitor, path)))
            tell(done + 1)
    return PageLoad(**medians(loads))


def load_once(visitor: Visitor, path: str) -> PageLoad:
    """With an empty cache, until nothing is under way any more. Raises BenchError."""
    with visitor.page() as page:
        page.add_init_script(path=WATCH)
        with timing_tasks(page) as used_ms:
            answer = page.goto(path, wait_until="networkidle")
        if answer is None or answer.status != 200:
            raise BenchError(f"{path} was answered with {answer.status if answer else 'nothing'}.")
        seen: dict[str, Any] = page.evaluate(READ)
    tasks_ms = [task["duration"] for task in seen["longTasks"]]
    return PageLoad(
        interactive_ms=seen["interactiveMs"],
        first_paint_ms=seen["firstPaintMs"],
        largest_paint_ms=seen["largestPaintMs"],
        long_tasks=len(tasks_ms),
        longest_task_ms=max(tasks_ms, default=0),
        longest_used_ms=max(used_ms),
        blocked_ms=blocked_ms(tasks_ms),
        layout_shift=sum(shift["value"] for shift in seen["shifts"]),
        transferred_kib=seen["bytes"] / 1024,
        requests=seen["requests"],
    )


def blocked_ms(tasks_ms: Sequence[float]) -> float:
    return sum(max(0.0, task_ms - UNNOTICED_MS) for task_ms in tasks_ms)
