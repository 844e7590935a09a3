"""The page on which two people end an order that is in doubt: one proposes how, another one confirms or rejects it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from orders import resolution
from orders.admin.doubt_forms import DecisionForm, ProposalForm
from orders.admin.format import instant, order_url, whole
from orders.models import Order, Resolution
from orders.quoting import label_of
from orders.resolution import AlreadyProposed, NotInDoubt, NotOpen, NotTheirs

PERMISSION = "orders.resolve_order"
REFUSALS = (AlreadyProposed, NotInDoubt, NotOpen, NotTheirs)

Done = Callable[[], tuple[str, str]]
"""Does it; answers what is to be recorded, and what the person is told."""


def page(request: HttpRequest, order_id: UUID, *, console: "admin.ModelAdmin[Any]") -> HttpResponse:
    """Show the doubt, and what this person may do about it: propose, decide, or withdraw what they proposed."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    order = get_object_or_404(Order, id=order_id)
    proposal = ProposalForm(
        request.POST if request.POST.get("do") == "propose" else None, order=order
    )
    decision = DecisionForm(
        request.POST if request.POST.get("do") in ("confirm", "reject") else None
    )
    if request.method == "POST":
        asked = _asked(request, order, proposal, decision)
        if asked is None:
            return HttpResponseBadRequest("Say what to do: propose, confirm, reject or withdraw.")
        form, done = asked
        if form is None or form.is_valid():
            return _do(request, order, done, console=console)
    if order.in_doubt_since is None:
        messages.warning(request, "The order is not in doubt: there is nothing to decide.")
        return HttpResponseRedirect(order_url(order.id))
    return _shown(request, order, proposal, decision, console=console)


def _asked(
    request: HttpRequest, order: Order, proposal: ProposalForm, decision: DecisionForm
) -> tuple[forms.Form | None, Done] | None:
    """The form that must be right first, and what is then to be done."""
    by = request.user
    assert isinstance(by, User)

    def proposed_id() -> int:
        number = request.POST.get("proposal", "")
        known = Resolution.objects.filter(order=order).values_list("pk", flat=True)
        for pk in known:
            if str(pk) == number:
                return pk
        raise NotOpen("There is no such proposal for this order.")

    def propose() -> tuple[str, str]:
        made = resolution.propose(
            order.id,
            amount_out_base=proposal.amount_out_base,
            evidence=proposal.cleaned_data["evidence"],
            reason=proposal.cleaned_data["reason"],
            by=by,
        )
        told = "The order stays in doubt until somebody else confirms your proposal."
        return f"Proposed: {outcome_of(made)}. {made.reason}", told

    def confirm() -> tuple[str, str]:
        reason = decision.cleaned_data["reason"]
        ended = resolution.confirm(proposed_id(), by=by, reason=reason)
        told = f"The order is {ended.status} now. Both names and the evidence are in its log."
        return f"Ended the doubt, as was proposed: {ended.status}. {reason}", told

    def reject() -> tuple[str, str]:
        reason = decision.cleaned_data["reason"]
        resolution.reject(proposed_id(), by=by, reason=reason)
        return (
            f"Rejected a proposal. {reason}",
            "The proposal is rejected; the order stays in doubt.",
        )

    def withdraw() -> tuple[str, str]:
        resolution.withdraw(proposed_id(), by=by)
        return "Withdrew a proposal.", "Your proposal is withdrawn; the order stays in doubt."

    choices: dict[str, tuple[forms.Form | None, Done]] = {
        "propose": (proposal, propose),
        "confirm": (decision, confirm),
        "reject": (decision, reject),
        "withdraw": (None, withdraw),
    }
    return choices.get(request.POST.get("do", ""))


def _do(
    request: HttpRequest, order: Order, done: Done, *, console: "admin.ModelAdmin[Any]"
) -> HttpResponse:
    """What is done, and who did it, is stored together."""
    try:
        with transaction.atomic():
            recorded, told = done()
            console.log_change(request, order, recorded)
    except REFUSALS as refusal:
        messages.error(request, f"Nothing was changed. {refusal}")
    else:
        messages.success(request, told)
    return HttpResponseRedirect(order_url(order.id))


def _shown(
    request: HttpRequest,
    order: Order,
    proposal: ProposalForm,
    decision: DecisionForm,
    *,
    console: "admin.ModelAdmin[Any]",
) -> HttpResponse:
    proposed = resolution.open_resolution(order)
    context = {
        **console.admin_site.each_context(request),
        "title": "End the doubt",
        "opts": Order._meta,
        "order": order,
        "facts": _facts(order),
        "proposed": proposed,
        "proposed_rows": _proposed(proposed) if proposed else [],
        "is_own": proposed is not None and proposed.proposed_by_id == request.user.pk,
        "form": decision if proposed else proposal,
    }
    return TemplateResponse(request, "admin/orders/order/doubt.html", context)


def _facts(order: Order) -> list[tuple[str, object]]:
    attempt = order.attempts.defer("signed_bytes").get(number=order.attempt)
    doubt = order.events.filter(details__has_key="inDoubt").order_by("-seq").first()
    return [
        ("Doubt", doubt.message if doubt else ""),
        ("In doubt since", instant(order.in_doubt_since)),
        ("Attempt", f"{attempt.number}, on {label_of(attempt.venue)}"),
        ("Signature", attempt.signature),
        ("Can land up to block height", attempt.last_valid_block_height),
        ("Expects at least", whole(attempt.min_amount_out_base, order.token_out)),
    ]


def _proposed(proposed: Resolution) -> list[tuple[str, object]]:
    return [
        ("Proposed by", proposed.proposed_by.get_username()),
        ("At", instant(proposed.proposed_at)),
        ("What happened", outcome_of(proposed)),
        ("Evidence", proposed.evidence),
        ("Reason", proposed.reason),
    ]


def outcome_of(proposed: Resolution) -> str:
    """What a proposal says that happened."""
    if proposed.amount_out_base is None:
        return "it did not land, and never will"
    return f"the swap landed: {whole(proposed.amount_out_base, proposed.order.token_out)} received"
