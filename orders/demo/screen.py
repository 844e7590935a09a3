"""Where the demo shows itself: a terminal, which is redrawn, or anything else, which gets lines."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn

from orders.demo.order import DemoError, DemoOrder, StreamEvent
from orders.demo.table import event_line, orders_table

REDRAWS_PER_S = 5

Tell = Callable[[str], None]
OnEvent = Callable[[DemoOrder, StreamEvent], None]


class Screen(Protocol):
    def say(self, what: RenderableType) -> None: ...

    def working(self, title: str) -> AbstractContextManager[Tell]:
        """Shows that something takes its time; the steps of it can be told."""

    def following(self, orders: Sequence[DemoOrder]) -> AbstractContextManager[OnEvent]:
        """Shows the orders while they run."""


class Terminal:
    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, what: RenderableType) -> None:
        self._console.print(what, markup=False)

    @contextmanager
    def working(self, title: str) -> Iterator[Tell]:
        """One line, gone when it is done."""
        columns = (
            SpinnerColumn(style="cyan"),
            TextColumn("{task.description}", style="bold", markup=False),
            TextColumn("{task.elapsed:2.0f} s"),
            TextColumn("{task.fields[step]}", style="dim", markup=False),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(title, total=None, step="")
            yield lambda step: progress.update(task, step=step)

    @contextmanager
    def following(self, orders: Sequence[DemoOrder]) -> Iterator[OnEvent]:
        """Redrawn at its own pace: an event changes only what the next drawing shows."""

        def draw() -> RenderableType:
            return orders_table(orders, width=self._console.width)

        with Live(
            get_renderable=draw,
            console=self._console,
            refresh_per_second=REDRAWS_PER_S,
            # More orders than lines: cut while they run, whole at the end.
            vertical_overflow="ellipsis",
        ) as live:
            try:
                yield lambda order, event: None
            except DemoError:
                # An order was refused: the sentence says why, a half-empty table says nothing.
                live.transient = True
                raise


class Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, what: RenderableType) -> None:
        self._console.print(what, markup=False, soft_wrap=True)

    @contextmanager
    def working(self, title: str) -> Iterator[Tell]:
        self._line(f"{title}.")
        yield lambda step: self._line(f"  {step}")

    @contextmanager
    def following(self, orders: Sequence[DemoOrder]) -> Iterator[OnEvent]:
        yield lambda order, event: self._line(event_line(order, event))

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def screen_of(console: Console) -> Screen:
    # Asked of the file, not of the console: FORCE_COLOR makes rich take a log for a terminal.
    redrawable = console.file.isatty() and not console.is_dumb_terminal
    return Terminal(console) if redrawable else Lines(console)
