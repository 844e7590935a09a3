"""The page on which an operator ends an order that is in doubt."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from orders.admin.format import instant
from orders.models import Order
from orders.resolution import NotInDoubt, resolve
from routing.tokens import TOKENS, to_base

PERMISSION = "orders.resolve_order"
MOST_BASE = 2**64 - 1  # what a token account can hold
LANDED, DEAD = "landed", "dead"


class ResolutionForm(forms.Form):
    outcome = forms.ChoiceField(
        label="What happened",
        choices=[(LANDED, "The swap landed"), (DEAD, "It did not land, and never will")],
        widget=forms.RadioSelect,
    )
    amount_out = forms.DecimalField(
        label="Amount out",
        required=False,
        min_value=Decimal(0),
        help_text="If it landed: what was received, in whole tokens.",
    )
    evidence = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What you looked at, where, and what it said: an explorer's page, a node's answer.",
    )
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}), help_text="Why it is ended by hand."
    )

    def __init__(self, *args: Any, order: Order, **options: Any) -> None:
        super().__init__(*args, **options)
        self._token = TOKENS[order.token_out]
        self.amount_out_base: int | None = None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        amount = data.get("amount_out")
        if data.get("outcome") == DEAD and amount is not None:
            self.add_error("amount_out", "Nothing is received from a swap that did not land.")
        if data.get("outcome") == LANDED and "amount_out" not in self.errors:
            try:
                self.amount_out_base = to_base(amount, self._token) if amount else None
            except ValueError as error:
                self.add_error("amount_out", f"{str(error)[:1].upper()}{str(error)[1:]}.")
            else:
                if not self.amount_out_base:
                    self.add_error("amount_out", "Say how much was received: more than 0.")
                elif self.amount_out_base > MOST_BASE:
                    self.add_error("amount_out", "The amount is too large.")
        return data


def page(request: HttpRequest, order_id: str, *, console: admin.ModelAdmin) -> HttpResponse:  # type: ignore[type-arg]
    """Show the doubt and the form; on a good answer end the order, once."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    order = get_object_or_404(Order, id=order_id)
    form = ResolutionForm(request.POST or None, order=order)
    if request.method == "POST" and form.is_valid():
        return _resolved(request, order, form)
    if order.in_doubt_since is None:
        messages.warning(request, "The order is not in doubt: there is nothing to decide.")
        return _back_to(order)
    attempt = order.attempts.get(number=order.attempt)
    doubts = order.events.filter(details__has_key="inDoubt").order_by("-seq")
    context = {
        **console.admin_site.each_context(request),
        "title": "End the doubt",
        "opts": Order._meta,
        "order": order,
        "form": form,
        "facts": [
            ("Doubt", doubts[0].message if doubts else ""),
            ("In doubt since", instant(order.in_doubt_since)),
            ("Attempt", f"{attempt.number}, on {attempt.venue.capitalize()}"),
            ("Signature", attempt.signature),
            ("Can land up to block height", attempt.last_valid_block_height),
            ("Expects at least", f"{attempt.min_amount_out_base} base units of {order.token_out}"),
        ],
    }
    return TemplateResponse(request, "admin/orders/order/doubt.html", context)


def _resolved(request: HttpRequest, order: Order, form: ResolutionForm) -> HttpResponse:
    data = form.cleaned_data
    try:
        ended = resolve(
            order.id,
            amount_out_base=form.amount_out_base,
            evidence=data["evidence"],
            reason=data["reason"],
            by=request.user.get_username(),
        )
    except NotInDoubt as known:
        messages.error(request, f"Nothing was changed. {known}")
        return _back_to(order)
    LogEntry.objects.log_actions(
        user_id=int(request.user.pk or 0),
        queryset=Order.objects.filter(id=order.id),
        action_flag=CHANGE,
        change_message=f"Ended the doubt: {ended.status}. {data['reason']}",
        single_object=True,
    )
    messages.success(request, f"The order is {ended.status} now. Your evidence is in its log.")
    return _back_to(order)


def _back_to(order: Order) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:orders_order_change", args=[order.id]))
