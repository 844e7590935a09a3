"""Bugs to plant, so that the simulation shows that it can fail. Each is one that somebody might write."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from django.db import transaction

from orders import intake, journal, leases, settlement, stream
from orders.exchange import TradingDesk
from orders.inflight import InFlight, Sent
from orders.journal import AttemptChange, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order, OrderAttempt
from orders.settlement import Dead
from orders.steps import swap_instruction
from routing.transaction import build_swap

Patch = Any


def drop_the_fence() -> Patch:
    """Whoever comes back late writes all the same, if nobody else has written yet."""
    record = journal.record

    def unfenced(transitions: Sequence[Transition]) -> Any:
        return record([replace(transition, fence=None) for transition in transitions])

    return patch.object(journal, "record", unfenced)


def rebuild_instead_of_resend() -> Patch:
    """A worker that takes over signs the swap anew, on a fresh blockhash."""
    send = settlement.send

    def rebuild(sents: Sequence[Sent], *, desk: TradingDesk) -> None:
        send([sent if sent.fence == 1 else _signed_anew(sent, desk) for sent in sents], desk=desk)

    return patch.object(settlement, "send", rebuild)


def _signed_anew(sent: Sent, desk: TradingDesk) -> Sent:
    attempt = OrderAttempt.objects.get(order=sent.order_id, number=sent.attempt)
    instruction = swap_instruction(attempt.order, attempt, owner=desk.signer.pubkey(), desk=desk)
    memo, blockhash = f"{sent.order_id}:{sent.attempt}", desk.chain.latest_blockhash().blockhash
    built = build_swap(instruction, memo=memo, blockhash=blockhash, signer=desk.signer)
    return replace(sent, signed_bytes=built.raw)


def retry_without_proof() -> Patch:
    """An expired transaction that a node doesn't know is called dead, whatever that node could know."""

    def dead(sent: Sent, *_: Any) -> Dead:
        return Dead(code="EXPIRED", proof={"kind": "none"})

    return patch.object(settlement, "_of_absence", dead)


def silence_is_death() -> Patch:
    """A chain that doesn't answer is taken for a swap that didn't land."""

    def dead(sent: Sent, now: float) -> Any:
        return Dead(code="EXPIRED", proof={"kind": "none"})

    return patch.object(settlement, "_unanswered", dead)


def publish_before_commit() -> Patch:
    """Events are announced while their transaction is open."""
    execute = journal._execute

    def announce_first(*statement: Any) -> Any:
        with transaction.atomic():
            events = execute(*statement)
            stream.publish(list(events.values()))
        return events

    return patch.object(journal, "_execute", announce_first)


def forget_to_renew_leases() -> Patch:
    """Only orders that a thread works on keep their lease, not those that wait for the chain."""
    held = InFlight.held

    def running_only(self: InFlight) -> Any:
        return [lease for lease in held(self) if lease[0] in self._running]

    return patch.object(InFlight, "held", running_only)


def cancel_after_commit() -> Patch:
    """A submitted order is cancelled like one that sent nothing."""

    def cancel(order: Order) -> Transition:
        ended = AttemptChange(state=AttemptState.DEAD, proof={"kind": "none"})
        return Transition.of(
            order,
            fenced=False,
            status=Status.CANCELLED,
            message="Cancelled.",
            due_in_s=None,
            attempt=ended if order.status == Status.SUBMITTED else None,
        )

    return patch.object(intake, "_cancel", cancel)


def claim_what_is_not_due() -> Patch:
    """A hint is enough to take an order, whoever has it."""
    greedy = leases.CLAIM.replace("due_at <= engine_now()", "due_at IS NOT NULL")
    return patch.object(leases, "CLAIM", greedy)


def requeue_what_is_held() -> Patch:
    """Whoever asks for it in the console gets an order made due, also one that a worker is sending."""
    rash = leases.HURRY.replace("due_at <= engine_now() OR", "due_at IS NOT NULL OR")
    return patch.object(leases, "HURRY", rash)


def sweep_nothing() -> Patch:
    """Whoever lost its hint waits for ever."""
    return patch.object(leases, "overdue", lambda **_: 0)


BUGS: dict[str, Callable[[], Patch]] = {
    bug.__name__: bug
    for bug in (
        drop_the_fence,
        rebuild_instead_of_resend,
        retry_without_proof,
        silence_is_death,
        publish_before_commit,
        forget_to_renew_leases,
        cancel_after_commit,
        claim_what_is_not_due,
        requeue_what_is_held,
        sweep_nothing,
    )
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The engine with this bug; as it is for an empty name."""
    if not name:
        yield
        return
    with BUGS[name]():
        yield
