"""What became of the transactions that this process sent: asked in bulk, written in bulk, resent while they can land.

`confirmed` needs an error-free landing. Another attempt, or `failed`, needs proof that the transaction is dead: an
error at `finalized`; or a finalized height past its last valid one, and then a null from a node that has the whole
history. Anything else is not known, and is shown as in doubt once waiting alone can't settle it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection

from orders import journal, observe, turns
from orders.exchange import TradingDesk
from orders.inflight import InFlight, Sent
from orders.journal import AttemptChange, Refused, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order
from orders.quoting import label_of
from orders.retries import Retry, after_failure
from orders.stream import Event, executed_price
from routing.chain import (
    MAX_SIGNATURES_PER_CALL,
    Head,
    LandedTransaction,
    SignatureStatus,
    Statuses,
)
from routing.errors import RoutingError
from routing.tokens import from_base

RESEND_EVERY_S = 2.0
MAX_SENDS_PER_CALL = 100
DOUBT_AFTER_SILENCE_S = 30.0
ASK_AGAIN_S = 1.0  # what is in doubt
AFTER_REFUSAL_S = 10.0  # the database's own guard refused what we made of the answer: a bug, and no reason to hurry

SENTENCES = {
    "SLIPPAGE_EXCEEDED": "The price moved beyond the slippage limit before the swap landed.",
    "EXPIRED": "The transaction did not land before its last valid block height.",
}


@dataclass(frozen=True, slots=True)
class Landed:
    receipt: LandedTransaction


@dataclass(frozen=True, slots=True)
class Dead:
    """It can never land any more. `proof` says what was asked and what was answered."""

    code: str
    proof: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """`doubt` says why waiting alone won't settle it; None while it still may land.

    `heard` is False when nobody answered: that is no news, and ends no doubt.
    """

    doubt: str | None = None
    can_land: bool = False
    heard: bool = True


Verdict = Landed | Dead | Unknown


@dataclass(slots=True)
class Settled:
    """`waiting` is to be asked again; `retries` have another attempt coming."""

    waiting: list[Sent] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)


def send(sents: Sequence[Sent], *, desk: TradingDesk) -> None:
    """Send the stored bytes, again or for the first time: the chain gives them one effect.

    Never raises for the chain. Whatever goes wrong from here on, the transactions may be on their way; only `settle`
    can tell. A worker whose lease is over sends nothing: whoever has the order now does.
    """
    connection.close()
    for start in range(0, len(sents), MAX_SENDS_PER_CALL):
        now = desk.monotonic()
        ours = []
        for sent in sents[start : start + MAX_SENDS_PER_CALL]:
            if now < sent.lease_until:
                sent.sent_at = now
                ours.append(sent)
            else:
                observe.lease_over(order_id=sent.order_id, attempt=sent.attempt)
        with turns.outside("sends"):
            errors = desk.chain.send_many([sent.signed_bytes for sent in ours]) if ours else ()
        for sent, error in zip(ours, errors, strict=True):
            if error is not None:
                observe.send_failed(order_id=sent.order_id, attempt=sent.attempt, error=error)
        if errors and all(errors):
            break  # a node in trouble may cost a time-out per call: the others wait for the next time


def settle(sents: Sequence[Sent], *, desk: TradingDesk, held: InFlight | None = None) -> Settled:
    """Ask for these transactions once and write what is now known. Safe to repeat, from any number of workers.

    `held` forgets each that is not to be asked for again, as soon as that is written.
    """
    settled = Settled()
    for start in range(0, len(sents), MAX_SIGNATURES_PER_CALL):
        chunk = sents[start : start + MAX_SIGNATURES_PER_CALL]
        connection.close()  # no connection is held while the chain answers
        verdicts = _ask(chunk, desk)
        earlier = len(settled.waiting)
        _write(list(zip(chunk, verdicts, strict=True)), settled, now=desk.monotonic())
        if held is not None:
            waiting = {sent.held for sent in settled.waiting[earlier:]}
            held.forget(sent.held for sent in chunk if sent.held not in waiting)
    send_again_before = desk.monotonic() - RESEND_EVERY_S
    again = [s for s in settled.waiting if s.can_land and s.sent_at <= send_again_before]
    if again:
        send(again, desk=desk)
    return settled


def _ask(sents: Sequence[Sent], desk: TradingDesk) -> list[Verdict]:
    """One verdict each. Trouble with the node leaves Unknown what it would have told."""
    verdicts: dict[str, Verdict] = {}
    try:
        with turns.outside("fates"):
            for signature, verdict in _verdicts(sents, desk):
                verdicts[signature] = verdict
    except RoutingError as error:
        observe.ask_failed(signatures=len(sents), error=error)
    now = desk.monotonic()
    for sent in sents:
        if sent.signature in verdicts:
            sent.answered_at = now
    return [verdicts.get(sent.signature) or _unanswered(sent, now) for sent in sents]


def _unanswered(sent: Sent, now: float) -> Unknown:
    silent_s = now - sent.answered_at
    doubt = f"The chain has not answered for {silent_s:.0f} s."
    return Unknown(
        doubt=doubt if silent_s >= DOUBT_AFTER_SILENCE_S else None,
        can_land=sent.can_land,
        heard=False,
    )


def _verdicts(sents: Sequence[Sent], desk: TradingDesk) -> Iterator[tuple[str, Verdict]]:
    recent = desk.chain.statuses([sent.signature for sent in sents])
    landed: list[str] = []
    unseen: list[Sent] = []
    for sent, status in zip(sents, recent.statuses, strict=True):
        if status is None:
            unseen.append(sent)
        elif _is_good(status):
            landed.append(sent.signature)
        else:
            yield sent.signature, _of_failure(sent, status)
    if unseen:
        # The head first: a null counts only if it was answered after the height was past.
        head = desk.chain.head()
        expired = [
            sent for sent in unseen if head.finalized_block_height > sent.last_valid_block_height
        ]
        yield from (
            (sent.signature, Unknown(can_land=True)) for sent in unseen if sent not in expired
        )
        if expired:
            history = desk.chain.statuses([sent.signature for sent in expired], search_history=True)
            for sent, status in zip(expired, history.statuses, strict=True):
                if status is None:
                    yield sent.signature, _of_absence(sent, head, history)
                elif _is_good(status):
                    landed.append(sent.signature)
                else:
                    yield sent.signature, _of_failure(sent, status)
    if landed:
        for signature, receipt in zip(landed, desk.chain.transactions(landed), strict=True):
            if receipt is not None and receipt.error is None:
                yield signature, Landed(receipt)


def _is_good(status: SignatureStatus) -> bool:
    return status.error is None and status.commitment != "processed"


def _of_failure(sent: Sent, status: SignatureStatus) -> Verdict:
    if status.error is None or status.commitment != "finalized":
        return Unknown()  # it is in a block that may still be dropped
    return Dead(
        code=status.error,
        proof={
            "kind": "landed with an error",
            "asked": {"method": "getSignatureStatuses", "signature": sent.signature},
            "answered": asdict(status),
        },
    )


def _of_absence(sent: Sent, head: Head, history: Statuses) -> Verdict:
    """Expired, and the node knows nothing of it: proof of death only if that node would have known."""
    if {head.genesis_hash, history.genesis_hash} != {sent.genesis_hash}:
        return Unknown(
            doubt="The node is on another cluster than the one the transaction was signed for."
        )
    if max(head.first_available_slot, history.first_available_slot) > sent.signed_slot:
        return Unknown(
            doubt="The node has no history back to the slot in which the transaction was signed."
        )
    if history.slot < head.finalized_slot:
        return Unknown(doubt="The node lags behind the slot in which the transaction expired.")
    return Dead(
        code="EXPIRED",
        proof={
            "kind": "expired unseen",
            "lastValidBlockHeight": sent.last_valid_block_height,
            "asked": {
                "method": "getSignatureStatuses",
                "signature": sent.signature,
                "searchTransactionHistory": True,
            },
            "answered": {
                "slot": history.slot,
                "status": None,
                "genesisHash": history.genesis_hash,
                "firstAvailableSlot": history.first_available_slot,
            },
            "head": asdict(head),
        },
    )


def _write(verdicts: Sequence[tuple[Sent, Verdict]], settled: Settled, *, now: float) -> None:
    """One journal call for all that is news; whoever has no news, or lost a race but not the lease, goes on waiting."""
    dead = [sent.order_id for sent, verdict in verdicts if isinstance(verdict, Dead)]
    orders = {order.id: order for order in Order.objects.filter(id__in=dead)} if dead else {}
    news: list[tuple[Sent, Transition]] = []
    for sent, verdict in verdicts:
        match verdict:
            case Landed(receipt):
                news.append((sent, _confirmed(sent, receipt)))
            case Dead() if (order := _still_ours(orders.get(sent.order_id), sent)) is not None:
                news.append((sent, _died(order, verdict)))
            case Unknown(doubt=str(doubt)) if not sent.in_doubt:
                observe.in_doubt(order_id=sent.order_id, attempt=sent.attempt, reason=doubt)
                news.append((sent, _doubted(sent, doubt)))
            case Unknown(doubt=None, can_land=True, heard=True) if sent.in_doubt:
                news.append((sent, _out_of_doubt(sent)))
            case Unknown():
                settled.waiting.append(sent)
        if isinstance(verdict, Unknown):
            sent.can_land = verdict.can_land
            sent.ask_at = now + ASK_AGAIN_S if verdict.doubt or sent.in_doubt else now
    outcomes = journal.record([transition for _, transition in news])
    behind: list[Sent] = []
    for (sent, transition), outcome in zip(news, outcomes, strict=True):
        if isinstance(outcome, Refused):
            sent.ask_at = now + AFTER_REFUSAL_S
        if not isinstance(outcome, Event):
            behind.append(sent)
        elif outcome.status is Status.SUBMITTED:
            sent.in_doubt, sent.last_seq = transition.in_doubt is True, outcome.seq
            settled.waiting.append(sent)
        elif outcome.status is Status.ROUTING:
            settled.retries.append((sent.order_id, transition.due_in_s or 0.0))
    if behind:
        settled.waiting += _caught_up(behind)


def _still_ours(order: Order | None, sent: Sent) -> Order | None:
    ours = order is not None and order.status == Status.SUBMITTED and order.fence == sent.fence
    return order if ours else None


def _caught_up(behind: Sequence[Sent]) -> list[Sent]:
    """Somebody wrote in between, say a cancel request. Who still has the lease asks again, knowing what is new."""
    orders = {
        order.id: order for order in Order.objects.filter(id__in=[sent.order_id for sent in behind])
    }
    ours = [sent for sent in behind if _still_ours(orders.get(sent.order_id), sent)]
    for sent in ours:
        order = orders[sent.order_id]
        sent.last_seq, sent.in_doubt = order.last_seq, order.in_doubt_since is not None
    return ours


def _confirmed(sent: Sent, receipt: LandedTransaction) -> Transition:
    swap = sent.swap
    amount_in = from_base(receipt.amount_in_base, swap.token_in)
    amount_out = from_base(receipt.amount_out_base, swap.token_out)
    return Transition(
        order_id=sent.order_id,
        from_status=Status.SUBMITTED,
        from_seq=sent.last_seq,
        fence=sent.fence,
        status=Status.CONFIRMED,
        message=f"Swapped {amount_in} {swap.token_in.symbol} for {amount_out} {swap.token_out.symbol} "
        f"on {label_of(sent.venue)}.",
        due_in_s=None,
        details={
            "selectedDex": receipt.venue,
            "txHash": sent.signature,
            "amountOut": amount_out,
            "executedPrice": executed_price(
                swap.token_in, receipt.amount_in_base, swap.token_out, receipt.amount_out_base
            ),
        },
        attempt=AttemptChange(
            state=AttemptState.CONFIRMED, amount_out_base=receipt.amount_out_base
        ),
        amount_out_base=receipt.amount_out_base,
        in_doubt=False,
    )


def _died(order: Order, verdict: Dead) -> Transition:
    sentence = SENTENCES.get(
        verdict.code, f"The swap landed with the error {verdict.code} and moved nothing."
    )
    return after_failure(
        order,
        code=verdict.code,
        sentence=sentence,
        retryable=True,
        ended=AttemptChange(
            state=AttemptState.DEAD,
            error_code=verdict.code,
            error_message=sentence,
            proof=verdict.proof,
        ),
    )


def _doubted(sent: Sent, reason: str) -> Transition:
    return _still_submitted(
        sent,
        message=f"The outcome can't be known yet. {reason} It is asked for again until it is known.",
        attempt=AttemptChange(state=AttemptState.IN_DOUBT),
        in_doubt=True,
        next_check_in_s=ASK_AGAIN_S,
    )


def _out_of_doubt(sent: Sent) -> Transition:
    return _still_submitted(
        sent,
        message="The chain answers again; the transaction can still land.",
        attempt=AttemptChange(state=AttemptState.SENT),
        in_doubt=False,
        details={"inDoubt": None},
    )


def _still_submitted(sent: Sent, **changes: Any) -> Transition:
    return Transition(
        order_id=sent.order_id,
        from_status=Status.SUBMITTED,
        from_seq=sent.last_seq,
        fence=sent.fence,
        status=Status.SUBMITTED,
        due_in_s=None,
        **changes,
    )
