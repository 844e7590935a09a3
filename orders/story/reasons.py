"""Every code with which an attempt or an order can end, in words, and what its client can do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orders.models import OrderAttempt


@dataclass(frozen=True, slots=True)
class Reason:
    """`words` go on a sentence that begins with "Failed: "; `advice` is one of its own, for an order that ended so."""

    words: str
    advice: str = ""


LATER = "It can be placed again."

REASONS = {
    # Of the market
    "NO_QUOTE": Reason("no venue gave a quote", LATER),
    "QUOTE_TIMEOUT": Reason("no venue quoted in time", LATER),
    "QUOTE_FAILED": Reason("a venue’s answer could not be used", LATER),
    "VENUE_SET_ASIDE": Reason("its venues kept failing, and are left alone for a moment", LATER),
    "NO_ROUTE": Reason(
        "no venue has a pool for these tokens", "Another pair may lead to the same token."
    ),
    "NO_POOL": Reason("the pool is not there any more", LATER),
    "INSUFFICIENT_LIQUIDITY": Reason(
        "the pools don’t hold enough for so large an amount", "A smaller amount may fit."
    ),
    "AMOUNT_TOO_SMALL": Reason(
        "the amount is so small that every pool would pay nothing for it", "Try a larger one."
    ),
    "AMOUNT_TOO_LARGE": Reason(
        "the amount is larger than a transaction can carry", "Try a smaller one."
    ),
    "UNKNOWN_TOKEN": Reason("one of its tokens is not listed any more", "Try another pair."),
    # Of the limits that the client set
    "SLIPPAGE_EXCEEDED": Reason(
        "the price moved beyond the limit",
        "It can be placed again, at today’s price or with more slippage allowed.",
    ),
    "QUOTE_EXPIRED": Reason(
        "its quote expired before a venue was chosen", "Ask for a new quote and place it on that."
    ),
    # Of the transaction
    "EXPIRED": Reason("its transaction did not land in time, and never will", LATER),
    "BLOCKHASH_NOT_FOUND": Reason("its transaction was too old when it was tried out", LATER),
    "TRANSACTION_TOO_LARGE": Reason(
        "its route does not fit one transaction", "A smaller amount may take a shorter route."
    ),
    "MALFORMED_TRANSACTION": Reason("the node could not read its transaction", LATER),
    "MALFORMED_INSTRUCTION": Reason("the venue’s program could not read its instruction", LATER),
    "BAD_SIGNATURE": Reason("the node did not accept the transaction’s signature", LATER),
    "UNKNOWN_PROGRAM": Reason("the chain does not know the venue’s program", LATER),
    # Of the node
    "RPC_UNAVAILABLE": Reason("the chain’s node could not be reached", LATER),
    "RPC_ERROR": Reason("the chain’s node answered with an error", LATER),
    "RPC_TIMEOUT": Reason("the chain’s node did not answer in time", LATER),
    "WRONG_CLUSTER": Reason("the chain’s node was on another cluster", LATER),
    "NODE_BEHIND": Reason("the chain’s node was behind", LATER),
    "MIN_CONTEXT_SLOT_NOT_REACHED": Reason("the chain’s node was behind", LATER),
    "HISTORY_NOT_AVAILABLE": Reason("the chain’s node has lost its history", LATER),
    "CHAIN_MISCONFIGURED": Reason("the simulated chain is set up otherwise than before", LATER),
    # Of the engine
    "NO_RECEIPT": Reason("the route that an earlier version chose is not known any more", LATER),
    "VENUE_GONE": Reason("the venue that was chosen is not one of this engine’s any more", LATER),
    "STUCK": Reason(
        "ten workers in a row took it up and none could move it on",
        "Tell an operator: the same order may do the same again.",
    ),
    "FORGOTTEN": Reason("what it did was lost when the database was restored", LATER),
    "RESOLVED_BY_OPERATOR": Reason("an operator ended the doubt: it never landed", LATER),
    "CANCELLED": Reason("the order was cancelled"),
}


def reason_of(attempt: OrderAttempt) -> Reason:
    """Why the attempt came to nothing."""
    return reason_for(attempt.error_code, attempt.error_message, attempt.quotes)


def reason_for(code: str, message: str, quotes: Sequence[Mapping[str, Any]] = ()) -> Reason:
    """A code that nobody wrote words for has at least the sentence that came with it.

    Where no venue quoted, it is what they all said, if that was the same.
    """
    said = {quote.get("error", {}).get("code") for quote in quotes}
    if code == "NO_QUOTE" and said == {"QUOTE_TIMEOUT"}:
        code = "QUOTE_TIMEOUT"
    if code in REASONS:
        return REASONS[code]
    text = message.rstrip(".") or f"it ended with {code}"
    return Reason(f"{text[:1].lower()}{text[1:]}")
