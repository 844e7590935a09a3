"""What a swap was worth, promised and paid: prices beside each other, and where the difference went. Exact integers."""

from dataclasses import dataclass

from orders import figures
from orders.models import Order, OrderAttempt
from orders.receipts import ExecutionCost, execution_cost
from orders.stream import executed_price
from routing.tokens import TOKENS, from_base


@dataclass(frozen=True, slots=True)
class Price:
    """Tokens out for one token in. `x` places it between the lowest and the highest of the attempt's prices."""

    name: str
    label: str
    price: str
    beside_market: str
    x: str


@dataclass(frozen=True, slots=True)
class Part:
    """A step from what the amount was worth to what was received: below 0 a cost, above it a gain.

    `x` and `width` draw it left or right of the middle; `tone` is good, bad or empty.
    """

    label: str
    what: str
    amount: str
    share: str
    tone: str
    x: str
    width: str
    is_sum: bool = False


def prices_of(order: Order, attempt: OrderAttempt) -> tuple[Price, ...]:
    """Highest first. Market and quote are known if the attempt has a receipt, the executed one of a fill."""
    token_in, token_out = TOKENS[order.token_in], TOKENS[order.token_out]
    receipt = attempt.receipt or {}

    def told(name: str) -> int | None:
        return figures.base(receipt[name], token_out.symbol) if name in receipt else None

    market_base = told("referenceValue")
    known = [
        ("market", "Market", market_base),
        ("quoted", "Quoted", told("amountOut")),
        ("executed", "Executed", attempt.amount_out_base),
        ("limit", "Limit", attempt.min_amount_out_base),
    ]
    outs = [(name, label, int(out)) for name, label, out in known if out is not None]
    if not outs:
        return ()
    low, high = min(out for *_, out in outs), max(out for *_, out in outs)
    return tuple(
        Price(
            name=name,
            label=label,
            price=figures.price(
                executed_price(token_in, int(order.amount_in_base), token_out, out)
            ),
            beside_market=_beside(out, market_base) if name != "market" else "",
            x=f"{100 * (out - low) / (high - low):.2f}%" if high > low else "50%",
        )
        for name, label, out in sorted(outs, key=lambda each: -each[2])
    )


def _beside(out_base: int, market_base: int | None) -> str:
    if not market_base:
        return ""
    difference = out_base - market_base
    if not difference:
        return "the same"
    sign = "+" if difference > 0 else ""
    return f"{sign}{figures.share(difference, market_base, places=3)}"


def cost_of(order: Order, attempt: OrderAttempt) -> ExecutionCost | None:
    """None of what didn't land, or was chosen without a receipt."""
    if attempt.receipt is None or attempt.amount_out_base is None:
        return None
    return execution_cost(attempt.receipt, TOKENS[order.token_out], int(attempt.amount_out_base))


def cost_parts(order: Order, attempt: OrderAttempt) -> tuple[Part, ...]:
    """From the market's worth to what was received: the parts add up, to the base unit."""
    cost = cost_of(order, attempt)
    if cost is None:
        return ()
    steps = [
        ("Spread", "how far the best single pool stood from the market", -cost.spread_base),
        ("Pool fees", "of the best single pool", -cost.fee_base),
        ("Price impact", "in the best single pool", -cost.price_impact_base),
        ("Improvement", "what the route was quoted more than that pool", cost.improvement_base),
        ("Drift", "what the pools moved until it landed", -cost.drift_base),
        ("Network fee", "of the transaction, in the token that was bought", -cost.network_fee_base),
    ]
    most = max(abs(change) for _, _, change in steps) or 1
    token = TOKENS[order.token_out]

    def part(label: str, what: str, change: int) -> Part:
        width = 50 * abs(change) / most
        return Part(
            label=label,
            what=what,
            amount=figures.signed(from_base(change, token)),
            share=figures.share(change, cost.reference_base, places=3),
            tone="good" if change > 0 else "bad" if change < 0 else "",
            x=f"{50 - width if change < 0 else 50:.2f}%",
            width=f"{width:.2f}%",
        )

    def total(label: str, what: str, worth_base: int) -> Part:
        worth = figures.grouped(from_base(worth_base, token))
        share = figures.share(worth_base, cost.reference_base, places=3)
        return Part(label, what, worth, share, "", "0%", "0%", is_sum=True)

    return (
        total("Worth", "at the market’s prices, when the route was chosen", cost.reference_base),
        *(part(*step) for step in steps),
        total("Received", "less the network’s fee", cost.received_base),
    )
