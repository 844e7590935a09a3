"""`python -m benchmarks`: a run from end to end, and what it makes of what it saw."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.load import Followed
from benchmarks.measure import check, measure, percentile
from config.stack.engine_processes import PROJECT

LIFE = ["pending", "routing", "building", "submitted", "confirmed"]
EVENTS = list(enumerate(LIFE, start=1))


def followed(order_id: str = "a", *, events: list[tuple[int, str]] | None = None) -> Followed:
    events = EVENTS if events is None else events
    return Followed(order_id, submitted_at=10.0, accepted_at=10.1, ended_at=12.0, events=events)


def log_of(*order_ids: str) -> dict[str, list[tuple[int, str, float]]]:
    return {name: [(seq, status, 10.1 + seq) for seq, status in EVENTS] for name in order_ids}


def troubles_of(*orders: Followed, wanted: int = 1, sockets: bool = True) -> list[str]:
    return check(orders, wanted=wanted, log=log_of("a"), sockets=sockets).troubles


def test_a_whole_run_passes_and_writes_its_results(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--quick", "--only", "no-delay-sockets"),
            *("--results", str(tmp_path)),
        ],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 streams complete: nothing missed, repeated or out of order" in done.stdout
    assert "shares this machine" in done.stdout
    written = json.loads((tmp_path / "no-delay-sockets.json").read_text())
    assert written["checks"]["passed"] and written["checks"]["ended"] == {"confirmed": 20}
    assert all(figure > 0 for figure in written["figures"].values())
    assert written["machine"]["cores"] and written["versions"]["postgresql"]


def test_a_complete_run_has_no_trouble() -> None:
    assert troubles_of(followed()) == []


def test_a_missed_a_repeated_and_a_swapped_event_are_told() -> None:
    missed = EVENTS[:2] + EVENTS[3:]
    repeated = [*EVENTS[:2], *EVENTS[1:]]
    swapped = [EVENTS[0], EVENTS[2], EVENTS[1], *EVENTS[3:]]
    for events in (missed, repeated, swapped, EVENTS[:-1], []):
        (trouble,) = troubles_of(followed(events=events))
        assert "its stream is not complete" in trouble


def test_a_stream_that_differs_from_the_log_is_told() -> None:
    told = [*EVENTS[:-1], (5, "failed")]
    assert troubles_of(followed(events=told)) == ["a: its stream is not what the log says"]


def test_an_order_that_was_lost_or_refused_is_told() -> None:
    assert "2 of 3 orders were accepted" in troubles_of(followed(), followed("b"), wanted=3)
    assert any("its log is not complete" in text for text in troubles_of(followed("b")))
    refused = Followed(submitted_at=1.0, trouble="refused with 429 RATE_LIMITED")
    assert "an order: refused with 429 RATE_LIMITED" in troubles_of(refused)


def test_an_order_that_nobody_was_told_of_is_told() -> None:
    assert check([], wanted=0, log=log_of("a"), sockets=False).troubles == [
        "1 orders are in the log that no client was told of"
    ]


def test_the_end_is_when_the_client_read_it_or_else_when_it_was_written() -> None:
    assert measure([followed()], log=log_of("a"), sockets=True).end_to_end_p50_ms == 2000
    assert round(measure([followed()], log=log_of("a"), sockets=False).end_to_end_p50_ms) == 5100


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (50, 99, 0)
