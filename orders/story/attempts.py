"""One attempt, told: the ways that were compared, the route, what came of it, where the value went, and the proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orders import figures
from orders.lifecycle import AttemptState
from orders.models import Order, OrderAttempt
from orders.quoting import label_of
from orders.story.money import Part, Price, cost_parts, prices_of
from orders.story.reasons import reason_of
from routing.tokens import TOKENS


@dataclass(frozen=True, slots=True)
class Way:
    """One way that was compared. `costs` is what the network and the route's legs take from it."""

    label: str
    pools: tuple[str, ...]
    chosen: bool
    out: str
    net: str
    costs: str
    impact: str
    why: str
    error_code: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One pool of the route, as quoted. `x` and `width` place its share in its hop."""

    hop: int
    label: str
    venue: str
    pool: str
    share: str
    x: str
    width: str
    amount_in: str
    amount_out: str
    fee: str


@dataclass(frozen=True, slots=True)
class AttemptStory:
    number: int
    state: str
    headline: str
    hops: int
    legs: tuple[Leg, ...]
    ways: tuple[Way, ...]
    asked: str
    prices: tuple[Price, ...]
    parts: tuple[Part, ...]
    figures: tuple[tuple[str, str], ...]
    signature: str
    last_valid: str  # block height
    error_code: str
    error: str
    proof: str
    began_at: datetime
    ended_at: datetime | None
    token_in: str
    token_out: str

    @property
    def ended_as(self) -> str:
        return self.state.replace("_", " ")

    @property
    def has_quotes(self) -> bool:
        return any(way.out for way in self.ways)

    @property
    def took(self) -> str:
        return figures.span(self.ended_at - self.began_at) if self.ended_at else ""


def attempt_story(order: Order, attempt: OrderAttempt, *, waits: bool) -> AttemptStory:
    """`waits` of one that was opened and has not begun, because it backs off first."""
    receipt: Mapping[str, Any] = attempt.receipt or {}
    legs = _legs(receipt.get("legs", []))
    is_listed = order.token_in in TOKENS and order.token_out in TOKENS
    return AttemptStory(
        number=attempt.number,
        state=attempt.state,
        headline=_headline(order, attempt, waits=waits),
        hops=legs[-1].hop if legs else 0,
        legs=legs,
        ways=_ways(attempt.quotes),
        asked=_asked(receipt.get("venues", [])),
        prices=prices_of(order, attempt) if is_listed else (),
        parts=cost_parts(order, attempt) if is_listed else (),
        figures=_figures(order, attempt),
        signature=attempt.signature or "",
        last_valid=f"{height:,}" if (height := attempt.last_valid_block_height) is not None else "",
        error_code=attempt.error_code,
        error=attempt.error_message,
        proof=_proof(attempt),
        began_at=attempt.started_at,
        ended_at=attempt.ended_at,
        token_in=order.token_in,
        token_out=order.token_out,
    )


def _headline(order: Order, attempt: OrderAttempt, *, waits: bool) -> str:
    """What came of it, in a few words: it stands beside the attempt's number."""
    where = f" on {label_of(attempt.venue)}" if attempt.venue else ""
    match AttemptState(attempt.state):
        case AttemptState.QUOTING:
            return "Waiting to begin" if waits else "Comparing venues"
        case AttemptState.BUILT:
            return f"Building a transaction for a swap{where}"
        case AttemptState.SENT:
            return f"Sent{where}"
        case AttemptState.IN_DOUBT:
            return f"Sent{where}; its outcome can’t be known yet"
        case AttemptState.CONFIRMED:
            return (
                f"Received {figures.amount(attempt.amount_out_base or 0, order.token_out)}{where}"
            )
        case AttemptState.DEAD:
            ended = reason_of(attempt).words
            return f"Sent{where}; {ended}"
        case AttemptState.FAILED:
            ended = reason_of(attempt).words
            return f"Nothing was sent: {ended}"


def _figures(order: Order, attempt: OrderAttempt) -> tuple[tuple[str, str], ...]:
    """What was expected, the least to accept, and what came."""
    quoted = (attempt.receipt or {}).get("amountOut")
    least_base, received_base = attempt.min_amount_out_base, attempt.amount_out_base
    rows = []
    if quoted is not None:
        rows.append(("Quoted", f"{figures.grouped(quoted)} {order.token_out}"))
    if least_base is not None:
        rows.append(("Least to accept", figures.amount(least_base, order.token_out)))
    if received_base is not None:
        rows.append(("Received", figures.amount(received_base, order.token_out)))
    if least_base is not None and received_base is not None:
        above = figures.amount(received_base - least_base, order.token_out)
        rows.append(("Above the least", above))
    return tuple(rows)


def _ways(quotes: Sequence[Mapping[str, Any]]) -> tuple[Way, ...]:
    """The chosen one first, then by what they leave, those without a quote last."""
    best_first = sorted(
        quotes,
        key=lambda q: (not q["chosen"], "error" in q, -Decimal(q.get("netAmountOut", 0))),
    )
    return tuple(_way(quote) for quote in best_first)


def _way(quote: Mapping[str, Any]) -> Way:
    why = quote.get("lostBecause", "")
    error = quote.get("error", {})
    has_quote = "netAmountOut" in quote
    costs = Decimal(quote["amountOut"]) - Decimal(quote["netAmountOut"]) if has_quote else None
    return Way(
        label=label_of(quote["venue"]),
        pools=tuple(quote.get("pools", ())),
        chosen=quote["chosen"],
        out=figures.grouped(quote["amountOut"]) if has_quote else "",
        net=figures.grouped(quote["netAmountOut"]) if has_quote else "",
        costs=figures.grouped(f"{costs:f}") if costs is not None else "",
        impact=figures.bps(quote["priceImpactBps"]) if has_quote else "",
        why=f"{why[:1].upper()}{why[1:]}" or _why_not(quote),
        error_code=error.get("code", ""),
    )


def _why_not(quote: Mapping[str, Any]) -> str:
    """The best way of an attempt that chose none: what it would have paid is below the limit."""
    return "" if quote["chosen"] else "The best, but below the least to accept"


def _legs(legs: Sequence[Mapping[str, Any]]) -> tuple[Leg, ...]:
    told: list[Leg] = []
    before = 0.0
    for leg in legs:
        before = before if told and told[-1].hop == leg["hop"] else 0.0
        share = float(leg["sharePct"])  # a width on the screen; nothing is computed from it
        told.append(
            Leg(
                hop=leg["hop"],
                label=label_of(leg["venue"]),
                venue=leg["venue"],
                pool=leg["pool"],
                share=f"{share:g} %",
                x=f"{before:.2f}%",
                width=f"{share:.2f}%",
                amount_in=f"{figures.grouped(leg['amountIn'])} {leg['tokenIn']}",
                amount_out=f"{figures.grouped(leg['amountOut'])} {leg['tokenOut']}",
                fee=f"{figures.grouped(leg['fee'])} {leg['tokenIn']}",
            )
        )
        before += share
    return tuple(told)


def _asked(answers: Sequence[Mapping[str, Any]]) -> str:
    """Whom the decision rests on: "Raydium answered in 212 ms for slot 4,711"."""
    told = []
    for answer in answers:
        label = label_of(answer["venue"])
        if error := answer.get("error"):
            told.append(error["message"])
        elif answer.get("slot") is None:
            told.append(f"{label} has no pool for it")
        else:
            took = f"in {answer['tookMs']} ms " if answer.get("tookMs") is not None else ""
            told.append(f"{label} answered {took}for slot {answer['slot']:,}")
    return f"{'; '.join(told)}." if told else ""


def _proof(attempt: OrderAttempt) -> str:
    """Why nobody need fear that it lands after all."""
    if attempt.state == AttemptState.FAILED:
        return "No transaction of this attempt was ever sent, so none can land."
    proof = attempt.proof
    if not proof:
        return ""
    try:
        return _proof_in_words(proof)
    except (KeyError, TypeError):  # of an earlier version: the document stands below
        return f"It is proven dead: {proof.get('kind', 'see the document')}."


def _proof_in_words(proof: Mapping[str, Any]) -> str:
    match proof["kind"]:
        case "landed with an error":
            status = proof["answered"]
            return (
                f"It landed in slot {status['slot']:,} with the error {status['error']}, and that is "
                f"{status['commitment']}: it moved nothing, and has no other effect."
            )
        case "expired unseen":
            head, answered = proof["head"], proof["answered"]
            return (
                f"It could land up to block height {proof['lastValidBlockHeight']:,}. The chain was final up to "
                f"{head['finalized_block_height']:,} when, at slot {answered['slot']:,}, a node with the history since "
                f"slot {answered['firstAvailableSlot']:,} was asked and did not know it: it can never land."
            )
        case "operator":
            confirmed = (
                f", and {proof['confirmedBy']} confirmed it" if "confirmedBy" in proof else ""
            )
            return f"{proof['by']} proposed it{confirmed}. Evidence: {proof['evidence']} Reason: {proof['reason']}"
        case kind:
            return f"It is proven dead: {kind}."
