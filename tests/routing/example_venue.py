"""The worked example of `docs/add-a-venue.md`, as the module that its reader would save."""

from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).parents[2] / "docs" / "add-a-venue.md"


def block(language: str) -> str:
    """The page's only block of code in this language."""
    _, after = PAGE.read_text().split(f"\n```{language}\n")
    return after.partition("\n```\n")[0] + "\n"


def load() -> ModuleType:
    """The example, executed. Its lines keep their numbers, so that a traceback points into the page."""
    source = block("python")
    lines_above = PAGE.read_text().partition(source)[0].count("\n")
    module = ModuleType("routing.orca")
    exec(compile("\n" * lines_above + source, str(PAGE), "exec"), module.__dict__)
    return module


Orca = load().Orca
