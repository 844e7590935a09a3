"""What the simulated chain says of a transaction, beside what our record says: an explorer's page."""

from decimal import Decimal

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from orders import figures
from orders.chain_record import SIGNATURE, ChainRecord, attempts, chain_record
from orders.exchange import exchange
from orders.models import OrderAttempt
from orders.pages.errors import page_of
from orders.pages.order import may_view_all
from orders.people import account_of_person
from orders.quoting import label_of
from routing.chain import Head, LandedTransaction
from routing.tokens import SOL

Rows = list[tuple[str, str]]


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, signature: str) -> HttpResponse:
    """Members see the transactions of their account's orders; whoever may view any order sees any."""
    if not SIGNATURE.fullmatch(signature):
        return page_of(404, "This is not a transaction’s signature.", request=request)
    if not may_view_all(request.user):
        account = account_of_person(request.user)
        own = attempts().filter(signature=signature, order__account=account)
        if account is None or not own.exists():
            sentence = "There is no such transaction, or it is not of an order of your account."
            return page_of(404, sentence, request=request)
    record = chain_record(exchange().chain, signature)
    answer = record.answer
    receipt = answer.receipt if answer else None
    context = {
        "section": "order",
        "signature": signature,
        "record": record,
        "sentence": _sentence(record),
        "state": record.attempt.state.replace("_", " ") if record.attempt else "",
        "ours": _record_rows(record.attempt) if record.attempt else [],
        "receipt": _receipt_rows(receipt, record.named or record.attempt) if receipt else [],
        "head": _head_in_words(answer.head) if answer else "",
    }
    return render(request, "pages/transaction.html", context, status=503 if record.trouble else 200)


def _sentence(record: ChainRecord) -> tuple[str, str]:
    """(tone, sentence): how it stands with the transaction."""
    if record.answer is None:
        return "warn", f"The chain can’t be asked now: {record.trouble}. Our own record is below."
    status, receipt = record.answer.status, record.answer.receipt
    error = status.error if status else receipt.error if receipt else None
    if status is None and receipt is None:
        return _unknown(record.answer.head, record.attempt)
    if error:
        slot = status.slot if status else receipt.slot if receipt else 0
        return "bad", f"It landed in slot {slot:,} with the error {error}: it moved nothing."
    if status is None:
        return "good", "It landed, and swapped."
    final = {
        "finalized": "That is final.",
        "confirmed": "It is confirmed, and final soon.",
        "processed": "It is in a block that may still be dropped.",
    }[status.commitment]
    return "good", f"It landed in slot {status.slot:,}, and swapped. {final}"


def _unknown(head: Head, attempt: OrderAttempt | None) -> tuple[str, str]:
    """Of a node that does not know it: whether that says anything."""
    if attempt is None or attempt.last_valid_block_height is None:
        return "warn", "The chain does not know it, and neither does our record."
    if head.first_available_slot > (attempt.signed_slot or 0):
        return (
            "warn",
            f"The node that was asked has the history since slot {head.first_available_slot:,}, and can’t tell: the "
            "transaction was signed before that.",
        )
    limit = f"block height {attempt.last_valid_block_height:,}"
    if head.finalized_block_height <= attempt.last_valid_block_height:
        return "warn", f"The chain does not know it yet. It can land until {limit}."
    return (
        "bad",
        f"The chain does not know it. It could land until {limit}, which is past for good.",
    )


def _record_rows(attempt: OrderAttempt) -> Rows:
    order = attempt.order
    rows = [
        ("Sent", figures.day(attempt.sent_at) if attempt.sent_at else ""),
        ("Route", label_of(attempt.venue) if attempt.venue else ""),
        ("Amount in", figures.amount(order.amount_in_base, order.token_in)),
        ("Least to accept", _amount(attempt.min_amount_out_base, order.token_out)),
        ("Received", _amount(attempt.amount_out_base, order.token_out)),
        ("Signed at slot", _number(attempt.signed_slot)),
        ("Last valid block height", _number(attempt.last_valid_block_height)),
    ]
    return [(name, value) for name, value in rows if value]


def _receipt_rows(receipt: LandedTransaction, named: OrderAttempt | None) -> Rows:
    """Without the order the tokens are unknown, and amounts are base units."""
    token_in, token_out = (named.order.token_in, named.order.token_out) if named else ("", "")

    def told(amount_base: int, symbol: str) -> str:
        return figures.amount(amount_base, symbol) if symbol else f"{amount_base:,} base units"

    return [
        ("Result", receipt.error or "Swapped"),
        ("Slot", f"{receipt.slot:,}"),
        ("Block time", figures.day(receipt.landed_at)),
        ("Amount in", told(receipt.amount_in_base, token_in)),
        ("Least to accept", told(receipt.min_amount_out_base, token_out)),
        ("Amount out", told(receipt.amount_out_base, token_out)),
        ("Network fee", figures.amount(receipt.fee_lamports, SOL.symbol)),
        ("Venue", label_of(receipt.venue)),
        ("Pools", receipt.pool.replace("+", " ")),
        ("Signer", receipt.signer),
        ("Memo", receipt.memo),
    ]


def _head_in_words(head: Head) -> str:
    return (
        f"The chain is at block height {head.block_height:,}, final up to {head.finalized_block_height:,}; "
        f"the node has the history since slot {head.first_available_slot:,}."
    )


def _amount(amount_base: Decimal | None, symbol: str) -> str:
    return "" if amount_base is None else figures.amount(amount_base, symbol)


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
