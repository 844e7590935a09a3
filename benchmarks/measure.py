"""What a run amounts to: figures, and whether every promise was kept."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from benchmarks.load import Followed
from orders.demo.order import StreamEvent, find_flaw

LogEvents = dict[str, list[tuple[int, str, float]]]


@dataclass(frozen=True)
class Figures:
    """Rates per second, times in milliseconds. End to end is from before the submission to the last event."""

    accepted_per_s: float
    completed_per_s: float
    submit_p50_ms: float
    submit_p99_ms: float
    end_to_end_p50_ms: float
    end_to_end_p99_ms: float


@dataclass(frozen=True)
class Checks:
    """`troubles` are sentences; there are none if all promises were kept."""

    submitted: int
    accepted: int
    ended: dict[str, int]
    complete_logs: int
    complete_streams: int | None
    reconnects: int
    troubles: list[str]

    @property
    def passed(self) -> bool:
        return not self.troubles


def read_log(database_url: str, *, since: float) -> LogEvents:
    """The (seq, status, time) of every order accepted since then, in the order of seq."""
    found: LogEvents = {}
    with psycopg.connect(database_url) as database:
        rows = database.execute(
            "SELECT order_id::text, seq, e.status, extract(epoch FROM at)::float8"
            " FROM orders_orderevent e JOIN orders_order o ON o.id = order_id"
            " WHERE o.created_at >= to_timestamp(%s) ORDER BY order_id, seq",
            [since],
        )
        for order_id, seq, status, at in rows:
            found.setdefault(order_id, []).append((seq, status, at))
    return found


def read_names(database_url: str, *, since: float) -> dict[str, str]:
    """The id of every order accepted since then under an id of its client's."""
    with psycopg.connect(database_url) as database:
        rows = database.execute(
            "SELECT client_order_id, id::text FROM orders_order"
            " WHERE client_order_id IS NOT NULL AND created_at >= to_timestamp(%s)",
            [since],
        )
        return dict(rows.fetchall())


def measure(followed: Sequence[Followed], *, log: LogEvents, sockets: bool) -> Figures:
    """An order ended when its client read the last event; without a socket, when that was written."""
    accepted = [one for one in followed if one.accepted_at]
    ended_at = {
        one.order_id: one.ended_at if sockets else log[one.order_id][-1][2]
        for one in accepted
        if (one.ended_at if sockets else _has_ended(log.get(one.order_id, [])))
    }
    started_at = min((one.submitted_at for one in followed), default=0.0)
    submits = [one.accepted_at - one.submitted_at for one in accepted]
    whole = [
        ended_at[one.order_id] - one.submitted_at for one in accepted if one.order_id in ended_at
    ]
    return Figures(
        accepted_per_s=_rate(len(accepted), started_at, [one.accepted_at for one in accepted]),
        completed_per_s=_rate(len(ended_at), started_at, list(ended_at.values())),
        submit_p50_ms=percentile(submits, 0.50) * 1000,
        submit_p99_ms=percentile(submits, 0.99) * 1000,
        end_to_end_p50_ms=percentile(whole, 0.50) * 1000,
        end_to_end_p99_ms=percentile(whole, 0.99) * 1000,
    )


def check(followed: Sequence[Followed], *, wanted: int, log: LogEvents, sockets: bool) -> Checks:
    """Every order was accepted and ended; its log is whole; its stream is its log, once and in order."""
    troubles: list[str] = []
    complete_logs = complete_streams = 0
    accepted = [one for one in followed if one.accepted_at]
    for one in followed:
        name = one.order_id or "an order"
        if one.trouble:
            troubles.append(f"{name}: {one.trouble}")
        if not one.accepted_at:
            continue
        written = [(seq, status) for seq, status, _ in log.get(one.order_id, [])]
        if flaw := find_flaw([_event(*event) for event in written]):
            troubles.append(f"{name}: its log is not complete: {flaw}")
        else:
            complete_logs += 1
        if not sockets:
            continue
        if flaw := find_flaw([_event(*event) for event in one.events]):
            troubles.append(f"{name}: its stream is not complete: {flaw}")
        elif one.events != written:
            troubles.append(f"{name}: its stream is not what the log says")
        else:
            complete_streams += 1
    if len(accepted) != wanted:
        troubles.append(f"{len(accepted)} of {wanted} orders were accepted")
    if strangers := log.keys() - {one.order_id for one in accepted}:
        troubles.append(f"{len(strangers)} orders are in the log that no client was told of")
    ended = Counter(
        log[one.order_id][-1][1] for one in accepted if _has_ended(log.get(one.order_id, []))
    )
    return Checks(
        submitted=len(followed),
        accepted=len(accepted),
        ended=dict(ended),
        complete_logs=complete_logs,
        complete_streams=complete_streams if sockets else None,
        reconnects=sum(one.reconnects for one in followed),
        troubles=troubles,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them don't exceed; 0 for none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _rate(count: int, started_at: float, times: Sequence[float]) -> float:
    return count / (max(times) - started_at) if times else 0.0


def _has_ended(events: Sequence[tuple[int, str, float]]) -> bool:
    return bool(events) and _event(*events[-1][:2]).is_final


def _event(seq: int, status: str) -> StreamEvent:
    return StreamEvent(
        seq=seq,
        status=status,
        message="",
        venue="",
        executed_price="",
        amount_out="",
        error_code="",
    )
