"""Whether every promise was kept: compares what clients saw with what PostgreSQL and the chain hold. Does no I/O."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from orders.lifecycle import TERMINAL, TRANSITIONS, Status
from tests.chaos.clients import Mark, Seen
from tests.chaos.evidence import Attempt, Event, Evidence, Record, Transaction


@dataclass
class Verdict:
    """Order ids by what went wrong with them; `troubles` are sentences about all of it, none if every promise held."""

    accepted: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)  # of those that ended, from acceptance to end
    retried: int = 0  # orders that had a signed attempt proven dead, and another one after it
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    begun_twice: list[str] = field(default_factory=list)
    landed_twice: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.troubles


def judge(seen: Seen, evidence: Evidence, *, wanted: int) -> Verdict:
    """`wanted` orders were to be accepted. A lost order counts as stuck, too: its client waits for ever."""
    verdict = Verdict(
        accepted=len(seen.accepted), troubles=[*seen.troubles, *evidence.zombie_writes]
    )
    on_chain = defaultdict(list)
    for transaction in evidence.transactions:
        on_chain[transaction.order_id].append(transaction)
    for account, order_id in sorted((key[0], order_id) for key, order_id in seen.accepted.items()):
        record = evidence.records.get(order_id)
        if record is None:
            verdict.lost.append(order_id)
            verdict.stuck.append(order_id)
            verdict.troubles.append(f"{order_id}: accepted, and not in the database")
            continue
        _judge_order(verdict, order_id, record, on_chain.pop(order_id, []))
        marks = seen.account_streams[account].get(order_id, [])
        _judge_stream(verdict, f"{order_id}: its account's stream", record, marks)
        if order_id in seen.own_streams:
            own = seen.own_streams[order_id]
            _judge_stream(verdict, f"{order_id}: its own stream", record, own)
    if verdict.accepted != wanted:
        verdict.troubles.append(f"{verdict.accepted} of {wanted} orders were accepted")
    for order_id in evidence.records.keys() - set(seen.accepted.values()):
        verdict.troubles.append(f"{order_id}: in the database, and no client was told of it")
    for order_id in on_chain:
        verdict.troubles.append(f"{order_id}: on the chain, and no client was told of it")
    if evidence.audit_exit_code != 0:
        verdict.troubles.append(
            f"the audit ended with {evidence.audit_exit_code}: {evidence.audit_output[-2000:]}"
        )
    return verdict


def _judge_order(
    verdict: Verdict, order_id: str, record: Record, transactions: list[Transaction]
) -> None:
    if record.status in TERMINAL:
        verdict.ended[record.status] += 1
        verdict.took_s.append(record.took_s)
    else:
        verdict.stuck.append(order_id)
        verdict.troubles.append(f"{order_id}: still {record.status}")
    swaps = sum(transaction.has_swapped for transaction in transactions)
    if swaps > 1:
        verdict.landed_twice.append(order_id)
        verdict.troubles.append(f"{order_id}: {swaps} of its swaps landed")
    if record.status in TERMINAL and swaps != (record.status == Status.CONFIRMED):
        verdict.troubles.append(f"{order_id}: {record.status}, and {swaps} of its swaps landed")
    verdict.retried += sum(attempt.signature is not None for attempt in record.attempts) > 1
    if why := next(_begun_twice(record.attempts, transactions), None):
        verdict.begun_twice.append(order_id)
        verdict.troubles.append(f"{order_id}: {why}")
    verdict.troubles += [f"{order_id}: {flaw}" for flaw in _flaws_of_log(record)]


def _begun_twice(attempts: list[Attempt], transactions: list[Transaction]) -> Iterator[str]:
    """Reasons to say that a swap was begun while an earlier one could still have landed."""
    for number, count in Counter(transaction.memo for transaction in transactions).items():
        if count > 1:
            yield f"{count} different transactions were sent for attempt {number}"
    signed = {attempt.signature for attempt in attempts if attempt.signature}
    if strangers := {transaction.signature for transaction in transactions} - signed:
        yield f"the transaction {min(strangers)} was sent, and no attempt has it"
    for earlier, later in pairwise(attempts):
        if earlier.signature is None:
            continue
        if earlier.state != "dead" or not earlier.has_proof:
            yield f"attempt {later.number} began without proof that attempt {earlier.number} is dead"
        elif earlier.ended_at is None or earlier.ended_at > later.started_at:
            yield f"attempt {later.number} began before the proof that attempt {earlier.number} is dead"
    for transaction in transactions:
        dead = any(a.signature == transaction.signature and a.state == "dead" for a in attempts)
        if dead and (transaction.has_swapped or not transaction.has_landed):
            yield f"the transaction {transaction.signature} is said to be dead, and the chain has it"


def _flaws_of_log(record: Record) -> Iterator[str]:
    before: Event | None = None
    for due, event in enumerate(record.events, start=1):
        if event.seq != due:
            yield f"its log has seq {event.seq} where {due} was due"
            return
        if event.from_status != (before.status if before else None):
            yield f"seq {due} of its log comes from {event.from_status}"
        if before and Status(event.status) not in TRANSITIONS[Status(before.status)]:
            yield f"its log goes from {before.status} to {event.status}"
        before = event
    if before is None or (before.seq, before.status) != (record.last_seq, record.status):
        yield "its log does not end where the order stands"


def _judge_stream(verdict: Verdict, name: str, record: Record, marks: list[Mark]) -> None:
    if flaw := _flaw_of_stream(record, marks):
        verdict.troubles.append(f"{name}: {flaw}")


def _flaw_of_stream(record: Record, marks: list[Mark]) -> str:
    """Empty if every event came once, in order, as the log has it, to the end. A snapshot stands for what it skips."""
    logged = {event.seq: event.status for event in record.events}
    position = 0
    for mark in marks:
        if mark.is_snapshot:
            if mark.seq < position:
                return f"a snapshot at seq {mark.seq} came after seq {position}"
        elif mark.seq != position + 1:
            return f"seq {mark.seq} came where {position + 1} was due"
        if logged.get(mark.seq) != mark.status:
            return f"seq {mark.seq} was {mark.status}, and the log has {logged.get(mark.seq)}"
        position = mark.seq
    if position < record.last_seq:
        return f"it stopped at seq {position} of {record.last_seq}"
    return ""
