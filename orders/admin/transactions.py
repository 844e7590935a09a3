"""One transaction, as our record and as the chain tell of it: the chain is asked anew each time the page is opened."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse

from orders.admin.format import attempt_link, chip, code, instant, pretty_json, whole
from orders.chain_record import SIGNATURE, Answer, chain_record
from orders.exchange import exchange
from orders.models import OrderAttempt
from orders.quoting import label_of
from routing.chain import LandedTransaction
from routing.tokens import SOL, from_base

Rows = list[tuple[str, Any]]


def page(
    request: HttpRequest,
    signature: str,
    *,
    console: "admin.ModelAdmin[Any]",
) -> TemplateResponse:
    """For whoever may view orders."""
    if not console.has_view_permission(request):
        raise PermissionDenied
    if not SIGNATURE.fullmatch(signature):
        raise Http404("This is not a transaction's signature.")
    record = chain_record(exchange().chain, signature)
    attempt, answer = record.attempt, record.answer
    receipt = answer.receipt if answer else None
    context = {
        **console.admin_site.each_context(request),
        "title": "Chain transaction",
        "subtitle": signature,
        "opts": console.opts,
        "signature": signature,
        "trouble": record.trouble,
        "record": record_rows(attempt) if attempt else [],
        "attempt": attempt,
        "receipt": receipt_rows(receipt, record.named) if receipt else [],
        "is_known": record.is_known,
        "chain": chain_rows(answer) if answer else [],
        "contradiction": record.contradicts,
    }
    return TemplateResponse(
        request, "admin/orders/transaction.html", context, status=503 if record.trouble else 200
    )


def record_rows(attempt: OrderAttempt) -> Rows:
    order = attempt.order
    return [
        ("Attempt", attempt_link(attempt)),
        ("State", chip(attempt.state)),
        ("Order", chip(order.status)),
        ("Sent", instant(attempt.sent_at)),
        ("Amount in", whole(order.amount_in_base, order.token_in)),
        ("Minimum out", whole(attempt.min_amount_out_base, order.token_out)),
        ("Amount out", whole(attempt.amount_out_base, order.token_out)),
        ("Last valid block height", attempt.last_valid_block_height),
        ("Proof of death", pretty_json(attempt.proof)),
    ]


def receipt_rows(receipt: LandedTransaction, named: OrderAttempt | None) -> Rows:
    """Without the order the tokens are unknown, and amounts are base units."""
    order = named.order if named else None
    amount_in, least, amount_out = (
        receipt.amount_in_base,
        receipt.min_amount_out_base,
        receipt.amount_out_base,
    )
    return [
        ("Result", code(receipt.error) if receipt.error else "swapped"),
        ("Slot", receipt.slot),
        ("Block time", instant(receipt.landed_at)),
        ("Memo", attempt_link(named) if named else code(receipt.memo)),
        ("Signer", code(receipt.signer)),
        ("Venue", label_of(receipt.venue)),
        ("Pool", code(receipt.pool)),
        ("Amount in", whole(amount_in, order.token_in) if order else f"{amount_in} base units"),
        ("Minimum out", whole(least, order.token_out) if order else f"{least} base units"),
        ("Amount out", whole(amount_out, order.token_out) if order else f"{amount_out} base units"),
        ("Fee", f"{from_base(receipt.fee_lamports, SOL)} SOL"),
    ]


def chain_rows(answer: Answer) -> Rows:
    head = answer.head
    return [
        ("Commitment", answer.status.commitment if answer.status else "none"),
        ("Slot now", f"{head.slot} (finalized {head.finalized_slot})"),
        ("Block height now", f"{head.block_height} (finalized {head.finalized_block_height})"),
        ("History since slot", head.first_available_slot),
        ("Cluster", code(head.genesis_hash)),
    ]
