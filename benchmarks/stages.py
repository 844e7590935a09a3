"""What the bench is doing right now, and how far it has come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

COLUMNS = (
    TextColumn("{task.description:<28}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
)


class Stages:
    """A bar per stage, gone with it; where there is no terminal, a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(*COLUMNS, console=console, transient=True)

    def __enter__(self) -> "Stages":
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    @contextmanager
    def stage(self, name: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        """Yields what to call with how much is done; without a `total` nobody knows of how much."""
        if not self._console.is_terminal:
            self._console.print(f"  {name}", highlight=False)
        task = self._progress.add_task(name, total=total)
        try:
            yield lambda done: self._progress.update(task, completed=done)
        finally:
            self._progress.remove_task(task)
