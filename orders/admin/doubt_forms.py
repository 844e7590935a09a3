"""What people are asked for when they end an order's doubt: one what happened, the other whether they agree."""

from decimal import Decimal
from typing import Any

from django import forms

from orders.models import Order
from routing.tokens import TOKENS, to_base

MOST_BASE = 2**64 - 1  # what a token account can hold
LANDED, DEAD = "landed", "dead"
# Both go to the order's client in one event, over a socket that takes no large ones.
MOST_EVIDENCE, MOST_REASON = 4_000, 1_000


class ProposalForm(forms.Form):
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
        max_length=MOST_EVIDENCE,
        help_text="What you looked at, where, and what it said: an explorer's page, a node's answer.",
    )
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=MOST_REASON,
        help_text="Why it is ended by hand.",
    )

    def __init__(self, *args: Any, order: Order, **options: Any) -> None:
        super().__init__(*args, **options)
        self._order = order
        self.amount_out_base: int | None = None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        amount = data.get("amount_out")
        if data.get("outcome") == DEAD and amount is not None:
            self.add_error("amount_out", "Nothing is received from a swap that did not land.")
        if data.get("outcome") == LANDED and "amount_out" not in self.errors:
            trouble = self._read(amount)
            if trouble:
                self.add_error("amount_out", trouble)
        return data

    def _read(self, amount: Decimal | None) -> str | None:
        """Take the amount in; answers what is wrong with it."""
        for symbol in (self._order.token_in, self._order.token_out):
            if symbol not in TOKENS:
                return f"{symbol} is not listed any more, so that amounts of it can't be told."
        if not amount:
            return "Say how much was received: more than 0."
        try:
            amount_base = to_base(amount, TOKENS[self._order.token_out])
        except ValueError as error:
            return f"{str(error)[:1].upper()}{str(error)[1:]}."
        if amount_base > MOST_BASE:
            return "The amount is too large."
        self.amount_out_base = amount_base
        return None


class DecisionForm(forms.Form):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=MOST_REASON,
        help_text="What you looked at yourself, and what you make of it. It stays in the order's log under your name.",
    )
