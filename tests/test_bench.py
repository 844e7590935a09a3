"""`python -m benchmarks`: a run from end to end, and what it makes of what it saw."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import chart
from benchmarks.__main__ import chosen, parse
from benchmarks.audited import Audit
from benchmarks.crowd_load import read_message
from benchmarks.limits import LIFE as LIMIT_LIFE
from benchmarks.limits import Limits, life_of
from benchmarks.load import Followed
from benchmarks.measure import check, measure, percentile
from benchmarks.plans import whole_table_reads
from benchmarks.report import figure_in_words, readable
from benchmarks.results import Result, Run, as_json
from benchmarks.scenarios import QUICK_HISTORY, QUICK_ORDERS, SCENARIOS
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
    (run,) = written["runs"]
    assert run["checks"]["passed"] and run["checks"]["ended"] == {"confirmed": 20}
    assert run["audit"]["exitCode"] == 0 and run["audit"]["orders"] == 40  # the warm-up's, too
    assert all(figure > 0 for figure in written["figures"].values())
    assert 0 < written["limitsPerS"]["unbatched"] < written["limitsPerS"]["batched"]
    assert "No delays, a socket per order" in (tmp_path / "throughput.svg").read_text()
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


def run_of(completed_per_s: float, *, audit_exit_code: int = 0) -> Run:
    return Run(
        figures={"completed_per_s": completed_per_s},
        checks=check([followed()], wanted=1, log=log_of("a"), sockets=True),
        audit=Audit(audit_exit_code, 1.0, 1, 5, 1, []),
        cores={},
        memory_peak_mib={},
        versions={},
        load_before=0.0,
    )


def result_of(*runs: Run) -> Result:
    return Result(
        scenario=SCENARIOS[0], limits=Limits(unbatched=4_000.0, batched=16_000.0), runs=runs
    )


def test_figures_are_the_medians_of_the_runs_and_stand_beside_the_limits() -> None:
    written = as_json(result_of(run_of(1_000.0), run_of(9_999.0), run_of(800.0)))
    assert written["figures"] == {"completedPerS": 1_000.0}
    assert written["shareOfLimits"] == {"unbatched": 0.25, "batched": 0.062}
    assert [run["figures"]["completedPerS"] for run in written["runs"]] == [1_000.0, 9_999.0, 800.0]


def test_one_unclean_audit_fails_all_the_runs() -> None:
    assert result_of(run_of(1.0), run_of(1.0)).passed
    assert not result_of(run_of(1.0), run_of(1.0, audit_exit_code=1)).passed


def test_a_figure_is_written_with_the_unit_that_its_name_ends_in() -> None:
    assert figure_in_words("delivery_p99_ms", 12.34) == "delivery p99 12.3 ms"
    assert figure_in_words("memory_per_socket_kib", 31.0) == "memory per socket 31 KiB"
    assert figure_in_words("completed_per_s_empty", 1234.5) == "completed per s empty 1,234"
    assert [readable(ms) for ms in (12.3, 1_534.0, 26_400.0)] == ["12 ms", "1.53 s", "26.4 s"]


def test_a_quick_run_makes_every_scenario_small() -> None:
    for scenario in chosen(parse(["--quick"])):
        assert scenario.orders == QUICK_ORDERS and scenario.crowd <= QUICK_ORDERS
        assert scenario.history <= QUICK_HISTORY and scenario.batch <= QUICK_ORDERS


def test_a_plan_that_reads_a_large_table_is_told_from_one_that_reads_a_small_one() -> None:
    plans = {
        "by index": ["Index Scan using order_due on orders_order", "  Seq Scan on orders_account"],
        "by event": ["  ->  Seq Scan on orders_orderevent e  (cost=0.00..1.01)"],
        "by order": ["Parallel Seq Scan on orders_order"],
    }
    assert whole_table_reads(plans) == ["by event", "by order"]


@pytest.mark.parametrize("orders", [1, 200])
def test_the_limits_write_each_event_of_a_life_in_a_statement_of_its_own(orders: int) -> None:
    first, *statements = life_of(orders).splitlines()
    assert first == f"\\set first random(1, 90000000000000) * {orders}"
    for status, statement in zip(LIMIT_LIFE, statements, strict=True):
        assert f"'{status}'" in statement and statement.count(";") == 1


def test_a_message_says_when_its_event_was_written() -> None:
    event = {"orderId": "a", "seq": 3, "status": "building", "timestamp": "1970-01-01T00:01:00.5Z"}
    told = read_message(json.dumps({"type": "order.event", **event}))
    assert told == ("order.event", "a", 3, "building", 60.5)
    assert read_message('{"type": "heartbeat", "seq": null}') == ("heartbeat", "", 0, "", 0.0)


def chart_results(*names: str) -> dict[str, dict]:
    limits = {"unbatched": 3_400.0, "batched": 14_000.0}
    return {
        name: {"figures": {"completedPerS": 100.0 * nth}, "limitsPerS": limits}
        for nth, name in enumerate(names, start=1)
    }


def test_the_chart_shows_what_there_is_and_the_limits() -> None:
    groups = chart.groups_of(chart_results("no-delay", "no-delay-sockets-together", "batch"))
    assert [[bar.per_s for bar in group.bars] for group in groups] == [
        *([100.0], [200.0]),
        [3_400.0, 14_000.0],
    ]
    assert chart.groups_of(chart_results("batch")) == []


def test_the_charts_bars_are_to_scale_but_for_the_broken_one() -> None:
    groups = chart.groups_of(chart_results("no-delay", "no-delay-together"))
    drawn = ElementTree.fromstring(chart.draw(groups, subtitle="2 cores & a half"))
    bars = [
        float(each.get("width", "0"))
        for each in drawn.iter("{http://www.w3.org/2000/svg}rect")
        if each.get("height") == str(chart.BAR)
    ]
    assert bars == [
        pytest.approx(chart.LONGEST * share, abs=0.1) for share in (1 / 34, 2 / 34, 1, 1)
    ]
    words = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"100", "200", "3,400", "14,000", "2 cores & a half"} <= set(words)
