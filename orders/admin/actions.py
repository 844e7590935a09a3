"""What people may do to orders here, each under a name, a permission of its own, and for a reason that is kept.

From the list it is done to all that are ticked, from an order's page to that one: the same page asks for the reason,
and tells of each order what happened.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html

from orders import intake, interventions
from orders.admin.format import chip, code, order_url
from orders.interventions import Intervention, NothingToHurry
from orders.lifecycle import Status
from orders.models import Order

# A page of the list. Whoever wants more has an accident before them, and a script behind it.
MOST_AT_ONCE = 50
REFUSALS = (intake.AlreadyAsked, intake.AlreadyFinal, intake.Halted, NothingToHurry)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=1_000,
        help_text="Why it is done by hand. It stays on record under your name.",
    )


@dataclass(frozen=True, slots=True)
class NamedAction:
    """`does` raises one of REFUSALS, and answers what happened in a sentence."""

    name: str
    verb: str
    permission: str
    explains: str
    does: Callable[[Order, Intervention], str]


@dataclass(frozen=True, slots=True)
class Outcome:
    order: Order
    was_done: bool
    sentence: str


def _cancel(order: Order, intervention: Intervention) -> str:
    after = intake.cancel_order(order.id, account_id=order.account_id, intervention=intervention)
    if after.status == Status.CANCELLED:
        return "Cancelled: nothing was sent, and nothing will be."
    return "Asked for. The swap may have landed, so the chain decides."


def _requeue(order: Order, intervention: Intervention) -> str:
    interventions.requeue(order.id)
    return "Due now: the next free worker takes it."


CANCEL = NamedAction(
    name="cancel",
    verb="Cancel",
    permission="orders.cancel_order",
    explains="An order that has sent nothing ends at once. Of one that is submitted the swap may have landed: it is "
    "cancelled only if the chain proves that it did not. The order's log, which its client sees, keeps your name and "
    "the reason.",
    does=_cancel,
)
REQUEUE = NamedAction(
    name="requeue",
    verb="Requeue",
    permission="orders.requeue_order",
    explains="Makes an order due now that waits for its next attempt or for a worker, tells the workers so, and "
    "forgets how many of them took it up in vain. What a worker holds is left to it, and what has ended stays as it "
    "is. It changes neither the order's log nor how many attempts it has left.",
    does=_requeue,
)


def page(
    request: HttpRequest,
    action: NamedAction,
    *,
    console: admin.ModelAdmin,  # type: ignore[type-arg]
) -> HttpResponse:
    """Ask for a reason; then act on each order by itself, and tell what happened."""
    if not request.user.has_perm(action.permission):
        raise PermissionDenied
    asked = request.POST if request.method == "POST" else request.GET
    orders = _orders(asked.getlist("id"))
    form = ReasonForm(request.POST or None)
    outcomes: list[Outcome] = []
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        outcomes = [_act(request, action, order, reason, console=console) for order in orders]
    heads = ["Order", "Account", "Status"]
    context = {
        **console.admin_site.each_context(request),
        "title": f"{action.verb} {'the order' if len(orders) == 1 else f'{len(orders)} orders'}",
        "opts": Order._meta,
        "action": action,
        "orders": orders,
        "form": form,
        "outcomes": outcomes,
        "done": sum(outcome.was_done for outcome in outcomes),
        "heads": [*heads, "What happened"] if outcomes else heads,
        "rows": [_told(each) for each in outcomes] or [_cells(order) for order in orders],
    }
    return TemplateResponse(request, "admin/orders/order/action.html", context)


def _cells(order: Order) -> list[str]:
    link = format_html('<a href="{}">{}</a>', order_url(order.id), code(str(order.id)))
    return [link, order.account.name, chip(order.status)]


def _told(outcome: Outcome) -> list[str]:
    sentence = outcome.sentence
    if not outcome.was_done:
        sentence = format_html("<b>Nothing was changed.</b> {}", sentence)
    return [*_cells(outcome.order), sentence]


def _orders(ids: Sequence[str]) -> list[Order]:
    """Newest first, as they are listed."""
    try:
        wanted = {UUID(each) for each in ids[:MOST_AT_ONCE]}
    except ValueError:
        raise Http404("This is not an order's id.") from None
    orders = Order.objects.select_related("account").filter(id__in=wanted).order_by("-id")
    if not orders:
        raise Http404("There is no such order.")
    return list(orders)


def _act(
    request: HttpRequest,
    action: NamedAction,
    order: Order,
    reason: str,
    *,
    console: "admin.ModelAdmin[Any]",
) -> Outcome:
    """What is done, and who did it, is stored together."""
    try:
        with transaction.atomic():
            by = request.user.get_username()
            sentence = action.does(order, Intervention(by=by, reason=reason))
            console.log_change(request, order, f"{action.verb}: {sentence} Reason: {reason}")
    except REFUSALS as refusal:
        return Outcome(order, was_done=False, sentence=str(refusal))
    order.refresh_from_db()
    return Outcome(order, was_done=True, sentence=sentence)
