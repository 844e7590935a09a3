"""`manage.py explain ORDER`: why an order went where it went, made again from what was kept."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.admin.format import whole
from orders.exchange import exchange
from orders.models import Order, OrderAttempt
from orders.quoting import label_of, legs_as_json, quotes_as_json
from orders.receipts import StateMissing, cost_as_json, execution_cost, remade
from routing.errors import Rejected
from routing.router import Undecided
from routing.tokens import TOKENS


class Command(BaseCommand):
    help = (
        "Explain an order: what was weighed in each attempt, which route won and why, and what the fill cost. "
        "Each decision is made again from the kept states of the pools, and must agree to the base unit. "
        "Exits with 1 if one does not, or can't be made again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", metavar="ORDER", help="the order's id")
        parser.add_argument("--attempt", type=int, metavar="N", help="this attempt only")

    def handle(self, *, order: str, attempt: int | None, **options: Any) -> None:
        found = _order(order)
        attempts = found.attempts.order_by("number")
        if attempt is not None:
            attempts = attempts.filter(number=attempt)
            if not attempts:
                raise CommandError(f"--attempt: order {found.id} has no attempt {attempt}.")
        amount = whole(found.amount_in_base, found.token_in)
        self.stdout.write(f"Order {found.id}: {amount} for {found.token_out}, {found.status}.")
        if not attempts:
            self.stdout.write("It has no attempt yet.")
        agreed = [self._explain(found, each) for each in attempts]
        if not all(agreed):
            raise CommandError("Not every decision can be made again as it was made.")

    def _explain(self, order: Order, attempt: OrderAttempt) -> bool:
        self.stdout.write(f"\nAttempt {attempt.number}, {attempt.state}")
        if attempt.min_amount_out_base is not None:
            least = whole(attempt.min_amount_out_base, order.token_out)
            self.stdout.write(f"  accepts no less than {least}")
        if attempt.error_code:
            self.stdout.write(f"  ended with {attempt.error_code}: {attempt.error_message}")
        for quote in attempt.quotes:
            self.stdout.write(f"  {_in_words(quote, order.token_out)}")
        if attempt.receipt is None:
            why = "nothing was chosen" if attempt.quotes else "no venue was asked"
            self.stdout.write(f"  There is no receipt: {why}.")
            return True
        for leg in attempt.receipt["legs"]:
            self.stdout.write(
                f"  leg: hop {leg['hop']}, {leg['sharePct']:g} % through {label_of(leg['venue'])} {leg['pool']}: "
                f"{leg['amountIn']} {leg['tokenIn']} for {leg['amountOut']} {leg['tokenOut']}, "
                f"fee {leg['fee']} {leg['tokenIn']}"
            )
        self._cost(order, attempt)
        return self._verify(order, attempt)

    def _cost(self, order: Order, attempt: OrderAttempt) -> None:
        if attempt.amount_out_base is None or attempt.receipt is None:
            return
        token_out = TOKENS[order.token_out]
        cost = execution_cost(attempt.receipt, token_out, int(attempt.amount_out_base))
        parts = ", ".join(
            f"{name} {value}" for name, value in cost_as_json(cost, token_out).items()
        )
        self.stdout.write(f"  cost in {order.token_out}: {parts}")

    def _verify(self, order: Order, attempt: OrderAttempt) -> bool:
        receipt = attempt.receipt or {}
        try:
            decision = remade(order, attempt, exchange().venues)
        except (StateMissing, Rejected) as error:
            self.stdout.write(self.style.ERROR(f"  It can't be made again: {error}."))
            return False
        except Undecided as error:
            self.stdout.write(self.style.ERROR(f"  Made again, it finds no route: {error}."))
            return False
        agrees: bool = (
            quotes_as_json(decision.candidates, decision.swap) == attempt.quotes
            and legs_as_json(decision.route) == receipt["legs"]
        )
        if agrees:
            states = sum(len(answer.pools) for answer in decision.answers)
            self.stdout.write(
                f"  Made again from {states} kept states, it agrees to the base unit."
            )
        else:
            self.stdout.write(self.style.ERROR("  Made again, it differs:"))
            for quote in quotes_as_json(decision.candidates, decision.swap):
                self.stdout.write(f"    {_in_words(quote, order.token_out)}")
        return agrees


def _order(text: str) -> Order:
    try:
        order_id = UUID(text)
    except ValueError:
        raise CommandError(f"ORDER: {text!r} is no order id.") from None
    order = Order.objects.filter(id=order_id).first()
    if order is None:
        raise CommandError(f"ORDER: there is no order {order_id}.")
    return order


def _in_words(quote: dict[str, Any], symbol: str) -> str:
    label = label_of(quote["venue"])
    if "error" in quote:
        return f"{label}: {quote['lostBecause'] or quote['error']['message']}"
    pools = " + ".join(quote["pools"])
    offer = f"{label} ({pools}): {quote['amountOut']} {symbol}, net {quote['netAmountOut']}"
    return f"{offer}, {quote.get('lostBecause') or 'chosen'}"
