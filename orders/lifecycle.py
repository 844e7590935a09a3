"""The life of an order: its statuses and which may follow which. Pure data; the database enforces the same table.

`manage.py lifecycle` prints the diagram from here.
"""

from collections.abc import Iterator
from enum import StrEnum


class Status(StrEnum):
    """What an order is doing; the comment names who moves it on."""

    PENDING = "pending"  # accepted and durable; any worker
    ROUTING = "routing"  # comparing venues; the worker that holds the lease
    BUILDING = "building"  # a venue is chosen, its transaction is being built; the same
    SUBMITTED = (
        "submitted"  # the signed bytes are stored and may be on the wire; only the chain's answer
    )
    CONFIRMED = "confirmed"  # landed: nobody
    FAILED = "failed"  # will never land: nobody
    CANCELLED = "cancelled"  # will never land, as the client asked: nobody


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.ROUTING, Status.FAILED, Status.CANCELLED}),
    Status.ROUTING: frozenset(
        {
            Status.ROUTING,  # no venue could quote: the next attempt, after a back-off
            Status.BUILDING,
            Status.FAILED,
            Status.CANCELLED,
        }
    ),
    Status.BUILDING: frozenset(
        {
            Status.ROUTING,  # nothing was sent: the next attempt, after a back-off
            Status.SUBMITTED,
            Status.FAILED,
            Status.CANCELLED,
        }
    ),
    Status.SUBMITTED: frozenset(
        {
            Status.SUBMITTED,  # in doubt, out of doubt, or cancel requested: known facts changed, not the fate
            Status.CONFIRMED,
            Status.ROUTING,  # proven dead: the next attempt, after a back-off
            Status.FAILED,  # proven dead
            Status.CANCELLED,  # proven dead
        }
    ),
    Status.CONFIRMED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

TERMINAL = frozenset(status for status, successors in TRANSITIONS.items() if not successors)
ACTIVE = frozenset(Status) - TERMINAL
UNSENT = frozenset({Status.PENDING, Status.ROUTING, Status.BUILDING})

# The way to the chain. Until its end nothing is committed to, so that quick steps of it may be written together.
WAY_OUT = (Status.PENDING, Status.ROUTING, Status.BUILDING, Status.SUBMITTED)


class AttemptState(StrEnum):
    """How far one attempt got. The order's status is simpler on purpose."""

    QUOTING = "quoting"  # -> built, failed
    BUILT = "built"  # -> sent, failed
    SENT = "sent"  # -> confirmed, dead, in_doubt
    IN_DOUBT = "in_doubt"  # -> confirmed, dead; its fate can't be known yet
    CONFIRMED = "confirmed"
    DEAD = "dead"  # proven never to land, or landed with an error
    FAILED = "failed"  # nothing was sent


def legal_pairs() -> Iterator[tuple[Status, Status]]:
    """Every legal (status, successor), in the order of the enum."""
    for status in Status:
        for successor in Status:
            if successor in TRANSITIONS[status]:
                yield status, successor


def legal_moves() -> Iterator[tuple[Status, Status, int]]:
    """Every (status, successor, events) that one statement may write: a legal pair, or several steps of the way out.

    The last of several may also end the order. A next attempt begins with a statement of its own.
    """
    for status, successor in legal_pairs():
        yield status, successor, 1
    for start, status in enumerate(WAY_OUT):
        for end in range(start + 1, len(WAY_OUT) - 1):
            for successor in sorted(TRANSITIONS[WAY_OUT[end]] - {Status.ROUTING}):
                yield status, successor, end - start + 1


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    lines += [f"    {status} --> {successor}" for status, successor in legal_pairs()]
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join(lines)
