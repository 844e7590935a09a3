"""The judge must be able to say no: made-up runs, each with one thing wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import report
from tests.chaos.clients import Mark, Seen
from tests.chaos.evidence import Attempt, Event, Evidence, Record, Transaction, writes_of
from tests.chaos.judge import Verdict, judge
from tests.chaos.plan import in_short
from tests.chaos.recovery import Harm, TakeOver, Zombie
from tests.chaos.run import Report
from tests.factories import ALL_THE_WAY

RETRIED = [
    "pending",
    "routing",
    "building",
    "submitted",
    "routing",
    "building",
    "submitted",
    "confirmed",
]
FIRST, SECOND = "order-1", "order-2"


class MadeUpRun:
    """Two orders that went well: one at once, the other at its second attempt."""

    def __init__(self) -> None:
        self.seen = Seen(account_streams={"alice": {}})
        self.evidence = Evidence(records={}, transactions=[])
        self._add(FIRST, ALL_THE_WAY, [attempt(1, "confirmed")])
        self._add(SECOND, RETRIED, [attempt(1, "dead"), attempt(2, "confirmed")])
        self.evidence.transactions = [
            Transaction("order-1 signed 1", f"{FIRST}:1", None, has_landed=True),
            Transaction("order-2 signed 1", f"{SECOND}:1", "SLIPPAGE_EXCEEDED", has_landed=True),
            Transaction("order-2 signed 2", f"{SECOND}:2", None, has_landed=True),
        ]

    def _add(self, order_id: str, statuses: list[str], attempts: list[Attempt]) -> None:
        befores = [None, *statuses]
        events = [
            Event(seq, before, status)
            for seq, (before, status) in enumerate(zip(befores, statuses, strict=False), start=1)
        ]
        attempts = [
            replace(each, signature=f"{order_id} signed {each.number}") for each in attempts
        ]
        self.evidence.records[order_id] = Record(
            statuses[-1], len(statuses), events=events, attempts=attempts
        )
        self.seen.accepted["alice", f"client-{order_id}"] = order_id
        marks = [Mark(event.seq, event.status) for event in events]
        self.seen.own_streams[order_id] = marks
        self.seen.account_streams["alice"][order_id] = [*marks]

    def judged(self) -> Verdict:
        return judge(self.seen, self.evidence, wanted=2)

    def change_attempt(self, number: int, **changes: Any) -> None:
        """Of the second order."""
        attempts = self.evidence.records[SECOND].attempts
        attempts[number - 1] = replace(attempts[number - 1], **changes)


def attempt(number: int, state: str) -> Attempt:
    """The second begins in the statement that ends the first."""
    began, ended = float(10 * number), float(10 * (number + 1))
    return Attempt(number, state, None, has_proof=state == "dead", started_at=began, ended_at=ended)


@pytest.fixture
def run() -> MadeUpRun:
    return MadeUpRun()


def test_a_run_in_which_all_went_well_has_no_troubles(run: MadeUpRun) -> None:
    verdict = run.judged()

    assert verdict.troubles == []
    assert verdict.accepted == verdict.ended["confirmed"] == 2
    assert verdict.retried == 1
    assert (verdict.stuck, verdict.begun_twice, verdict.landed_twice) == ([], [], [])


def test_an_order_that_is_not_in_the_database_is_lost_and_stuck(run: MadeUpRun) -> None:
    del run.evidence.records[FIRST]

    verdict = run.judged()

    assert verdict.lost == verdict.stuck == [FIRST]
    assert not verdict.passed


def test_an_order_that_has_not_ended_is_stuck(run: MadeUpRun) -> None:
    record = run.evidence.records[FIRST]
    record.status, record.last_seq = "submitted", 4
    record.events.pop()

    assert run.judged().stuck == [FIRST]


def test_two_landed_swaps_of_one_order_are_landed_twice(run: MadeUpRun) -> None:
    run.evidence.transactions[1] = replace(run.evidence.transactions[1], error=None)

    verdict = run.judged()

    assert verdict.landed_twice == [SECOND]
    assert verdict.begun_twice == [SECOND]  # the proof of its death was wrong


def test_an_attempt_without_proof_that_the_last_is_dead_is_begun_twice(run: MadeUpRun) -> None:
    run.change_attempt(1, has_proof=False)

    assert run.judged().begun_twice == [SECOND]


def test_an_attempt_that_began_before_the_last_was_dead_is_begun_twice(run: MadeUpRun) -> None:
    run.change_attempt(1, ended_at=20.5)

    assert run.judged().begun_twice == [SECOND]


def test_an_attempt_that_was_signed_anew_is_begun_twice(run: MadeUpRun) -> None:
    stranger = Transaction("another signature", f"{FIRST}:1", "SLIPPAGE_EXCEEDED", has_landed=True)
    run.evidence.transactions.append(stranger)

    verdict = run.judged()

    assert verdict.begun_twice == [FIRST]
    assert verdict.landed_twice == []


def test_a_dead_transaction_that_can_still_land_is_begun_twice(run: MadeUpRun) -> None:
    in_flight = replace(run.evidence.transactions[1], error=None, has_landed=False)
    run.evidence.transactions[1] = in_flight

    assert run.judged().begun_twice == [SECOND]


def test_an_attempt_of_which_nothing_was_signed_needs_no_proof(run: MadeUpRun) -> None:
    run.change_attempt(1, signature=None, state="failed", has_proof=False)
    del run.evidence.transactions[1]

    assert run.judged().passed


def test_a_confirmed_order_without_a_landed_swap_is_found(run: MadeUpRun) -> None:
    del run.evidence.transactions[0]

    assert run.judged().troubles == [f"{FIRST}: confirmed, and 0 of its swaps landed"]


def test_a_swap_of_an_order_that_nobody_placed_is_found(run: MadeUpRun) -> None:
    run.evidence.transactions.append(Transaction("s", "order-9:1", None, has_landed=True))

    assert run.judged().troubles == ["order-9: on the chain, and no client was told of it"]


def test_an_order_that_no_client_was_told_of_is_found(run: MadeUpRun) -> None:
    del run.seen.accepted["alice", f"client-{FIRST}"]

    troubles = run.judged().troubles

    assert "1 of 2 orders were accepted" in troubles
    assert f"{FIRST}: in the database, and no client was told of it" in troubles


@pytest.mark.parametrize("stream", ["own", "account"])
@pytest.mark.parametrize(
    ("spoil", "flaw"),
    [
        (lambda marks: marks.pop(2), "seq 4 came where 3 was due"),
        (lambda marks: marks.insert(2, marks[1]), "seq 2 came where 3 was due"),
        (lambda marks: marks.insert(1, marks.pop(2)), "seq 3 came where 2 was due"),
        (lambda marks: marks.pop(), "it stopped at seq 4 of 5"),
        (lambda marks: marks.clear(), "it stopped at seq 0 of 5"),
        (
            lambda marks: marks.__setitem__(4, Mark(5, "failed")),
            "seq 5 was failed, and the log has confirmed",
        ),
        (lambda marks: marks.append(Mark(6, "confirmed")), "seq 6 was confirmed"),
        (
            lambda marks: marks.insert(3, Mark(1, "pending", is_snapshot=True)),
            "a snapshot at seq 1 came after seq 3",
        ),
    ],
)
def test_a_stream_that_is_not_the_log_is_found(
    run: MadeUpRun, stream: str, spoil: Callable[[list[Mark]], object], flaw: str
) -> None:
    streams = run.seen.own_streams if stream == "own" else run.seen.account_streams["alice"]

    spoil(streams[FIRST])

    (trouble,) = run.judged().troubles
    assert trouble.startswith(FIRST) and flaw in trouble


def test_a_snapshot_stands_for_what_it_skips(run: MadeUpRun) -> None:
    skipped = [Mark(1, "pending"), Mark(4, "submitted", is_snapshot=True), Mark(5, "confirmed")]
    run.seen.account_streams["alice"][FIRST] = skipped

    assert run.judged().passed


@pytest.mark.parametrize(
    ("spoil", "flaw"),
    [
        (lambda events: events.pop(1), "its log has seq 3 where 2 was due"),
        (lambda events: events.pop(), "its log does not end where the order stands"),
        (
            lambda events: events.__setitem__(2, Event(3, "pending", "building")),
            "seq 3 of its log comes from pending",
        ),
        (
            lambda events: events.__setitem__(2, Event(3, "routing", "confirmed")),
            "its log goes from routing to confirmed",
        ),
    ],
)
def test_a_log_that_breaks_its_own_rules_is_found(
    run: MadeUpRun, spoil: Callable[[list[Event]], object], flaw: str
) -> None:
    spoil(run.evidence.records[FIRST].events)

    assert f"{FIRST}: {flaw}" in run.judged().troubles


def test_a_failed_audit_and_a_troubled_client_fail_the_run(run: MadeUpRun) -> None:
    run.evidence.audit_exit_code, run.evidence.audit_output = 1, '{"offenders": 3}'
    run.seen.troubles.append("chaos-7: refused with 400")

    assert run.judged().troubles == [
        "chaos-7: refused with 400",
        'the audit ended with 1: {"offenders": 3}',
    ]


def test_a_zombie_is_told_by_its_own_log(tmp_path: Path) -> None:
    log = tmp_path / "worker-2.log"
    lines = [
        {"order_id": order_id, "seq": seq} for order_id in (FIRST, SECOND) for seq in (1, 2, 4)
    ]
    log.write_text("\n".join([*map(json.dumps, lines), "not JSON", '{"half a li']))
    times = {1: 99.0, 2: 101.0, 3: 101.5, 4: 104.0}  # seq 3 is another worker's
    events = [Event(seq, None, "routing", at) for seq, at in times.items()]
    records = {order_id: Record("routing", 4, events=events) for order_id in (FIRST, SECOND)}
    zombie = Zombie(log, lost=frozenset({FIRST}), back_at=100.0, watched_until=103.0)

    written = list(writes_of(zombie, records))

    assert written == [f"{FIRST}: worker-2 wrote seq 2 after it had lost the lease"]


def test_the_last_line_compares_engines(run: MadeUpRun, tmp_path: Path) -> None:
    run.evidence.transactions[1] = replace(run.evidence.transactions[1], error=None)
    taken = [TakeOver(FIRST, after_s=2.5, beyond_lease_s=0.5)]
    harms = [Harm("killed", "x", [], taken), Harm("paused", "y", [], [TakeOver(SECOND, 9.0, 1.0)])]
    done = Report(in_short(), run.seen, run.judged(), harms, tmp_path, elapsed_s=1.0)

    *words, last = report.lines(done)

    assert last == (
        "accepted=2 confirmed=2 failed=0 stuck=0 begun_twice=1 landed_twice=1 recovery_p99_s=2.50"
    )
    assert f"TROUBLE {SECOND}: 2 of its swaps landed" in words
    assert f"Everything is kept in {tmp_path}" in words
