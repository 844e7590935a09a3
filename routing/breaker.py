"""When a venue that keeps failing is set aside, and when it may come back: pure rules.

It knows neither venues nor clocks, and decides from what it is told. Who tells it, and who may act on what it says, is
the caller's part.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

WINDOW_S: Final = 30
"""Older answers say nothing of a venue any more."""

MIN_ASKED: Final = 10
"""Of fewer answers no share is taken: one of two may be bad luck."""

FAILING_SHARE: Final = 0.5
"""A venue that fails this share of its answers costs orders more time than it saves them money."""

FAILURES_IN_A_ROW: Final = 5
"""So many, and no good answer since, are enough at any rate: where orders are few, nobody waits for MIN_ASKED."""

FIRST_PAUSE_S: Final = 5
"""How long it is left alone before it is probed. Each probe that fails doubles the pause."""

LONGEST_PAUSE_S: Final = 60
"""A venue that is back is found out no later than this."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How often a venue was asked within the second that begins `at`, by anybody, and how often it failed."""

    at: datetime
    asked: int
    failed: int


@dataclass(frozen=True, slots=True)
class State:
    """What a venue has been `since` then: active, or set aside `until` it is probed.

    `failed_probes` counts those since it was set aside.
    """

    since: datetime
    until: datetime | None = None
    failed_probes: int = 0

    @property
    def is_set_aside(self) -> bool:
        return self.until is not None


def next_state(state: State, answers: Iterable[Answers], *, now: datetime) -> State:
    """What follows at `now`; the same state if nothing does. `answers` are in any order.

    An active venue that keeps failing is set aside. One whose pause is over is to be probed: whoever makes this state
    the venue's asks it, and nobody else does until the next pause is over, too. So a probe counts as failed until it
    is known that it did not, and one whose asker died costs a pause.
    """
    if state.until is None:
        return _set_aside(now) if _keeps_failing(answers, since=state.since, now=now) else state
    if now < state.until:
        return state
    failed_probes = state.failed_probes + 1
    return replace(state, until=now + pause(failed_probes), failed_probes=failed_probes)


def taken_back(*, now: datetime) -> State:
    """After a probe that was answered. What was answered before counts no more."""
    return State(since=now)


def pause(failed_probes: int) -> timedelta:
    """How long a venue is left alone after so many probes failed: 5 s, 10 s, 20 s, 40 s, and then 60 s."""
    # Bounded before it is doubled: the count goes on for as long as the venue is away.
    return timedelta(seconds=min(FIRST_PAUSE_S * 2 ** min(failed_probes, 10), LONGEST_PAUSE_S))


def _set_aside(now: datetime) -> State:
    return State(since=now, until=now + pause(0))


def _keeps_failing(answers: Iterable[Answers], *, since: datetime, now: datetime) -> bool:
    oldest = max(since, now - timedelta(seconds=WINDOW_S))
    recent = [second for second in answers if second.at >= oldest]
    asked = sum(second.asked for second in recent)
    failed = sum(second.failed for second in recent)
    if asked >= MIN_ASKED and failed >= asked * FAILING_SHARE:
        return True
    newest_first = sorted(recent, key=lambda second: second.at, reverse=True)
    all_failed = takewhile(lambda second: second.failed == second.asked, newest_first)
    return sum(second.failed for second in all_failed) >= FAILURES_IN_A_ROW
