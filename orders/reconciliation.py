"""Teach a database that was restored from an older backup what its orders did on chain since.

Nothing may execute meanwhile (`EXECUTION=halted`): an order whose swap the backup has forgotten would swap again.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from orders import checkpoints, execution, journal, leases, settlement
from orders.audit.chain import ChainReader
from orders.audit.run import order_of
from orders.exchange import TradingDesk
from orders.journal import AttemptChange, Refused, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order, OrderAttempt
from orders.retries import nothing_was_sent
from routing.chain import LandedTransaction

HOLDER = "reconcile"
ASK_EVERY_S = 1.0
# A hiccup of the chain's nodes is no doubt: so often the same transaction is asked for.
TRIES = 10
FORGOTTEN = "FORGOTTEN"

Tell = Callable[[str], None]


@dataclass(slots=True)
class Reconciled:
    """`contradictions` and `unknown` need a human: the first can't both be true, the second have no order here."""

    settled: list[UUID] = field(default_factory=list)
    adopted: list[LandedTransaction] = field(default_factory=list)
    in_doubt: list[UUID] = field(default_factory=list)
    unknown: list[LandedTransaction] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    signed_up_to: int | None = (
        None  # the last event that checkpoints still cover, if some of them were forgotten
    )

    @property
    def ok(self) -> bool:
        return not (self.in_doubt or self.unknown or self.contradictions)


class Contradiction(Exception):
    """The chain says what this database says did not happen."""


def reconcile(
    desk: TradingDesk,
    *,
    tell: Tell = lambda step: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Reconciled:
    """Settle what was sent, then adopt what landed. Safe to stop at any point, and to repeat.

    Raises Unavailable when the chain can't be asked, NoKey when checkpoints can't be read or signed.
    """
    done = Reconciled()
    chain = ChainReader(desk, sleep)
    final_slot = wait_for_finality(chain, tell=tell, sleep=sleep)
    tell("asking for what the backup knows to be sent")
    settle(desk, done, sleep=sleep)
    tell("reading the signer's history")
    for order_id, receipts in unknown_by_order(chain, up_to=final_slot):
        try:
            adopt_all(order_id, receipts, desk, done, sleep=sleep)
        except Contradiction as contradiction:
            done.contradictions.append(str(contradiction))
    done.signed_up_to = checkpoints.acknowledge_restore()
    return done


def wait_for_finality(chain: ChainReader, *, tell: Tell, sleep: Callable[[float], None]) -> int:
    """Until whatever was signed before now has landed for good, or never will. Answers the slot that is final by then.

    What lands is in the history of nodes that have come to that slot, and perhaps of no other.
    """
    limit = chain.blockhash(not_before=chain.head().slot).last_valid_block_height
    while (head := chain.head()).finalized_block_height <= limit:
        left = limit + 1 - head.finalized_block_height
        tell(f"waiting for what may still land: {left} blocks to go")
        sleep(ASK_EVERY_S)
    return head.finalized_slot


def settle(desk: TradingDesk, done: Reconciled, *, sleep: Callable[[float], None]) -> None:
    """Let the chain tell what became of every transaction that this database knows."""
    left = set(Order.objects.filter(status=Status.SUBMITTED).values_list("id", flat=True))
    while left:
        for order_id in sorted(left):
            claimed = leases.claim([order_id], holder=HOLDER)
            if not claimed:
                continue  # the lease of a worker of back then: it ends by itself
            left.discard(order_id)
            if claimed[0].status != Status.SUBMITTED:
                continue
            if is_settled(claimed[0], desk, sleep=sleep):
                done.settled.append(order_id)
            else:
                done.in_doubt.append(order_id)
        if left:
            sleep(ASK_EVERY_S)


def is_settled(order: Order, desk: TradingDesk, *, sleep: Callable[[float], None]) -> bool:
    """Ask for the order's transaction until its fate is known; after some tries give the order back."""
    # Whatever is asked for here can't land any more: nothing is sent, whoever has the lease.
    waiting = execution.resume([order], held_since=desk.monotonic())
    tries = TRIES if waiting else 0  # what can't be read can't be asked for
    for _ in range(tries):
        waiting = settlement.settle(waiting, desk=desk).waiting
        if not waiting:
            return True
        sleep(ASK_EVERY_S)
    leases.release([(order.id, order.fence)])
    return False


def unknown_by_order(
    chain: ChainReader, *, up_to: int
) -> Iterator[tuple[UUID, list[LandedTransaction]]]:
    """What landed and is no attempt here, by order, the earliest attempt first."""
    by_order: defaultdict[UUID, list[LandedTransaction]] = defaultdict(list)
    receipts = list(chain.history(up_to=up_to))
    known = set(OrderAttempt.objects.values_list("signature", flat=True))
    for receipt in receipts:
        order_id, _ = order_of(receipt.memo)
        if order_id is not None and receipt.signature not in known:
            by_order[order_id].append(receipt)
    for order_id in sorted(by_order):
        yield order_id, sorted(by_order[order_id], key=attempt_of)


def attempt_of(receipt: LandedTransaction) -> int:
    return order_of(receipt.memo)[1] or 0


def adopt_all(
    order_id: UUID,
    receipts: list[LandedTransaction],
    desk: TradingDesk,
    done: Reconciled,
    *,
    sleep: Callable[[float], None],
) -> None:
    """Walk the order to where the chain says that it came."""
    for receipt in receipts:
        order = Order.objects.filter(id=order_id).first()
        if order is None:
            done.unknown.append(receipt)
            continue
        order = adopt(order, receipt, desk)
        done.adopted.append(receipt)
        if not is_settled(order, desk, sleep=sleep):
            done.in_doubt.append(order_id)
            return


def adopt(order: Order, receipt: LandedTransaction, desk: TradingDesk) -> Order:
    """Write the attempt that landed. Raises Contradiction."""
    number = attempt_of(receipt)
    order = _at_attempt(order, number, receipt)
    if order.status == Status.ROUTING:
        order = _write(
            order,
            status=Status.BUILDING,
            message=f"Attempt {number} is on chain: adopted after a restore.",
            details={"selectedDex": receipt.venue},
            attempt=AttemptChange(
                state=AttemptState.BUILT,
                venue=receipt.venue,
                pool=receipt.pool,
                min_amount_out_base=receipt.min_amount_out_base,
            ),
            selected_dex=receipt.venue,
        )
    return _write(
        order,
        status=Status.SUBMITTED,
        message="Its transaction was sent before the restore; the bytes are lost, what it did is not.",
        details={"selectedDex": receipt.venue, "txHash": receipt.signature},
        attempt=AttemptChange(
            state=AttemptState.SENT,
            signature=receipt.signature,
            signed_bytes="",
            last_valid_block_height=receipt.slot,
            genesis_hash=desk.genesis_hash(),
            signed_slot=receipt.slot,
        ),
        tx_hash=receipt.signature,
    )


def _at_attempt(order: Order, number: int, receipt: LandedTransaction) -> Order:
    """The order, at the attempt that landed, with nothing signed in it yet."""
    at = f"{order.id} is {order.status} at attempt {order.attempt}"
    landed = f"{receipt.signature} landed as its attempt {number}"
    if order.status not in (Status.PENDING, Status.ROUTING, Status.BUILDING):
        raise Contradiction(f"{at}, but {landed}.")
    if order.attempt > number:
        raise Contradiction(f"{at} without a signature for {number}, but {landed}.")
    if order.status == Status.PENDING:
        message = "Its first attempt began before the restore."
        order = _write(order, status=Status.ROUTING, message=message, opens_attempt=True)
    while order.attempt < number:
        sentence = (
            f"What attempt {order.attempt} did was lost with the database; a later one landed."
        )
        order = _write(
            order,
            status=Status.ROUTING,
            message=sentence,
            attempt=nothing_was_sent(FORGOTTEN, sentence, quotes=None),
            opens_attempt=True,
        )
    return order


def _write(order: Order, **changes: object) -> Order:
    transition = Transition.of(
        order, fenced=False, releases=True, due_in_s=settings.LEASE_S, **changes
    )
    (outcome,) = journal.record([transition])
    if isinstance(outcome, Refused):
        raise outcome.error
    if outcome is None:
        raise Contradiction(f"{order.id} was moved on meanwhile: is execution halted everywhere?")
    return Order.objects.get(id=order.id)
