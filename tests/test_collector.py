"""Processes that serve spare the garbage collector what they have loaded."""

import subprocess
import sys

SCRIPT = """
import gc
from config import collector
before = len(gc.get_objects())
collector.spare_what_is_loaded()
print(before, len(gc.get_objects()), gc.get_freeze_count(), gc.get_threshold()[0])
"""


def test_what_is_loaded_is_taken_out_of_later_collections() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=30
    ).stdout

    before, left, frozen, threshold = map(int, printed.split())
    assert before > 1_000
    assert left < before / 10
    assert frozen > before * 0.9
    assert threshold == 10_000
