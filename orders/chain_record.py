"""One transaction, as our record and as the chain tell of it: the chain is asked anew each time."""

import re
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from orders.models import OrderAttempt
from routing.chain import Chain, Head, LandedTransaction, SignatureStatus
from routing.errors import Unavailable

SIGNATURE = re.compile("[1-9A-HJ-NP-Za-km-z]{64,88}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the chain knows of a signature. No receipt and no status: it is not known to the node that was asked."""

    receipt: LandedTransaction | None
    status: SignatureStatus | None
    head: Head


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """`attempt` is the one that has this signature on record, `named` the one that the transaction's memo names.

    Without an `answer` there is `trouble`: why the chain can't be asked.
    """

    attempt: OrderAttempt | None
    named: OrderAttempt | None
    answer: Answer | None
    trouble: str | None

    @property
    def is_known(self) -> bool:
        return self.answer is not None and (self.answer.receipt or self.answer.status) is not None

    @property
    def contradicts(self) -> bool:
        """A second transaction for one attempt: what must never be."""
        return self.named is not None and self.named != self.attempt


def chain_record(chain: Chain, signature: str) -> ChainRecord:
    """Ask the chain, and look at our own record."""
    answer, trouble = None, None
    try:
        answer = ask(chain, signature)
    except Unavailable as error:
        trouble = str(error)
    return ChainRecord(
        attempt=attempts().filter(signature=signature).first(),
        named=attempt_of_memo(answer.receipt.memo) if answer and answer.receipt else None,
        answer=answer,
        trouble=trouble,
    )


def ask(chain: Chain, signature: str) -> Answer:
    """Raises Unavailable."""
    head = chain.head()
    (status,) = chain.statuses([signature], search_history=True).statuses
    (receipt,) = chain.transactions([signature])
    return Answer(receipt, status, head)


def attempt_of_memo(memo: str) -> OrderAttempt | None:
    """The attempt that a memo, `{orderId}:{attempt}`, names; None if there is none."""
    order_id, _, number = memo.rpartition(":")
    try:
        named = {"order_id": UUID(order_id), "number": int(number)}
    except ValueError:
        return None
    return attempts().filter(**named).first()


def attempts() -> QuerySet[OrderAttempt]:
    """Never with their signed bytes."""
    return OrderAttempt.objects.select_related("order").defer("signed_bytes").order_by("pk")
