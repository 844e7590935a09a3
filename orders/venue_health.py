"""Which venues are asked for quotes: what all workers heard of each, and the circuit breaker that they share.

A process counts in memory and flushes each second. The rules are `routing.breaker`'s; whoever's conditional UPDATE
makes a state true acts on it. Between two looks, and while PostgreSQL is away, each goes by what it saw last.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from orders import background, observe
from orders.venue_models import VenueState
from routing.answers import Answer, collect
from routing.breaker import WINDOW_S, Answers, State, next_state, taken_back
from routing.tokens import SOL, USDC
from routing.venue import Venue

PROBE = ((SOL, USDC),)
"""What a probe asks for. A venue without such a pool says so, which is an answer, too."""

# The rows are locked in the order of their names, so that two flushes can't wait for each other.
FLUSH = """
INSERT INTO orders_venuetally AS t (at, venue, asked, failed, weighed, won, took_ms, slowest_ms)
SELECT date_trunc('second', engine_now()), heard.*
FROM unnest(%s::text[], %s::int[], %s::int[], %s::int[], %s::int[], %s::bigint[], %s::int[])
    AS heard(venue, asked, failed, weighed, won, took_ms, slowest_ms)
ORDER BY venue
ON CONFLICT (at, venue) DO UPDATE SET
    asked = t.asked + excluded.asked,
    failed = t.failed + excluded.failed,
    weighed = t.weighed + excluded.weighed,
    won = t.won + excluded.won,
    took_ms = t.took_ms + excluded.took_ms,
    slowest_ms = greatest(t.slowest_ms, excluded.slowest_ms)
"""

READ = f"""
SELECT engine_now(), v.name, s.since, s.until, s.failed_probes, t.at, t.asked, t.failed
FROM unnest(%s::text[]) AS v(name)
LEFT JOIN orders_venuestate s ON s.venue = v.name
LEFT JOIN orders_venuetally t
    ON t.venue = v.name AND t.at >= engine_now() - make_interval(secs => {WINDOW_S})
"""


@dataclass(slots=True)
class _Tally:
    """What this process heard of a venue since its last flush, and how many orders it weighed it for."""

    asked: int = 0
    failed: int = 0
    weighed: int = 0
    won: int = 0
    took_ms: int = 0
    slowest_ms: int = 0


@dataclass(slots=True)
class _Known:
    """A venue as PostgreSQL knows it; without a state, if no worker has seen it before."""

    state: State | None
    answers: list[Answers] = field(default_factory=list)


class _Probe(NamedTuple):
    claimed: State
    answer: "Future[Answer]"


class VenueHealth:
    """One per desk, and so per process. `tick` is for one thread at a time, all else for any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}
        self._set_aside: Mapping[str, datetime] = MappingProxyType({})
        self._probes: dict[str, _Probe] = {}

    def set_aside(self) -> Mapping[str, datetime]:
        """The venues that are not to be asked, and until when: as of the last tick."""
        return self._set_aside

    def heard(self, answers: Iterable[Answer]) -> None:
        """Count what venues answered, once for each time that they were asked."""
        with self._lock:
            for answer in answers:
                if answer.took_ms is None:
                    continue  # it was not asked
                tally = self._tally(answer.venue)
                tally.asked += 1
                tally.failed += answer.is_failure
                tally.took_ms += answer.took_ms
                tally.slowest_ms = max(tally.slowest_ms, answer.took_ms)

    def weighed(self, orders: Iterable[tuple[Iterable[str], Iterable[str]]]) -> None:
        """Count, for each order, the venues whose pools were weighed, and those of them that its route goes through."""
        with self._lock:
            for weighed, won in orders:
                for venue in weighed:
                    self._tally(venue).weighed += 1
                for venue in won:
                    self._tally(venue).won += 1

    def _tally(self, venue: str) -> _Tally:
        return self._tallies.setdefault(venue, _Tally())

    def tick(self, venues: Mapping[str, Venue]) -> None:
        """Once a second: tell the others what was heard, see what they heard, and act on it.

        A probe is only begun here; a later tick writes what came of it. Raises the database's errors: what was to be
        flushed is lost then (so many answers less to judge by), and `set_aside` stays as it is.
        """
        self._flush()
        now, known = _read(list(venues))
        _introduce([name for name, each in known.items() if each.state is None], since=now)
        states = {
            name: self._act_on(venues[name], each.state, each.answers, now)
            for name, each in known.items()
            if each.state is not None
        }
        self._set_aside = MappingProxyType(
            {name: state.until for name, state in states.items() if state.until is not None}
        )

    def _flush(self) -> None:
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        if not tallies:
            return
        heard = [(name, *asdict(tally).values()) for name, tally in tallies.items()]
        with connection.cursor() as cursor:
            cursor.execute(FLUSH, [list(column) for column in zip(*heard, strict=True)])

    def _act_on(
        self, venue: Venue, state: State, answers: Sequence[Answers], now: datetime
    ) -> State:
        """The state that the venue is in afterwards, as far as this process knows."""
        wanted = next_state(state, answers, now=now)
        if self._was_answered(venue.name, state):
            wanted = taken_back(now=now)
        if wanted == state or not _change(venue.name, believed=state, wanted=wanted):
            return state  # if somebody else was first, the next tick tells
        if wanted.until is None:
            observe.venue_taken_back(venue=venue.name)
        elif not state.is_set_aside:
            observe.venue_set_aside(venue=venue.name, until=wanted.until)
        else:
            self._probes[venue.name] = _Probe(wanted, background.submit(_ask(venue)))
        return wanted

    def _was_answered(self, venue: str, state: State) -> bool:
        """Whether this process's probe of the venue came to a good end, and is still the last one."""
        probe = self._probes.get(venue)
        if probe is None or not probe.answer.done():
            return False
        del self._probes[venue]
        answer = probe.answer.result()
        if answer.is_failure:
            observe.probe_failed(venue=venue, error=answer.error, until=state.until)
        return not answer.is_failure and probe.claimed == state


async def _ask(venue: Venue) -> Answer:
    deadline_s = settings.QUOTE_DEADLINE_MS / 1_000
    (answer,) = (await collect([venue], [PROBE], deadline_s=deadline_s))[PROBE]
    return answer


def _read(venues: list[str]) -> tuple[datetime, dict[str, _Known]]:
    """PostgreSQL's clock, and what it knows of each of these venues. There must be one, at least."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [venues])
        rows = cursor.fetchall()
    known: dict[str, _Known] = {}
    for _, venue, since, until, failed_probes, at, asked, failed in rows:
        state = State(since, until, failed_probes) if since else None
        each = known.setdefault(venue, _Known(state))
        if at is not None:
            each.answers.append(Answers(at, asked, failed))
    return rows[0][0], known


def _introduce(venues: Sequence[str], *, since: datetime) -> None:
    """Venues that no worker has seen before are active. Another worker may be doing the same."""
    if venues:
        new = [VenueState(venue=venue, since=since) for venue in venues]
        VenueState.objects.bulk_create(new, ignore_conflicts=True)


def _change(venue: str, *, believed: State, wanted: State) -> bool:
    """Whether this process made the change; False when another one was first."""
    unchanged = VenueState.objects.filter(venue=venue, **asdict(believed))
    return unchanged.update(**asdict(wanted)) == 1
