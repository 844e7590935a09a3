"""From a request body to a quote that an order may name."""

import threading
from typing import Any

from django.conf import settings

from orders import stored_quotes
from orders.api.problems import RETRY_AFTER_S, Problem
from orders.api.submission import DEFAULT_SLIPPAGE_BPS, SwapSerializer
from orders.exchange import exchange
from orders.models import Account
from orders.quoting import as_sentence
from orders.stream import rfc3339
from routing.errors import RoutingError
from routing.tokens import TOKENS, from_base
from routing.venue import Swap


class QuoteSerializer(SwapSerializer):
    """A swap to be quoted: exactly `amount` of `tokenIn`. Its checks are those of an order."""


_quote = QuoteSerializer()

# Whoever waits for venues holds one of this process's threads. The other half is for orders.
_room = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 2))


def quote(account: Account, body: object) -> dict[str, Any]:
    """Check the body, ask the venues, and answer what an order that names the quote is sure of.

    Raises Problem or ValidationError; nothing is stored then.
    """
    valid = _quote.run_validation(body)
    swap = Swap(TOKENS[valid["tokenIn"]], TOKENS[valid["tokenOut"]], valid["amount_in_base"])
    slippage_bps = valid.get("slippageBps", DEFAULT_SLIPPAGE_BPS)
    if not _room.acquire(blocking=False):
        raise _unavailable("TOO_MANY_QUOTES", "Too many quotes are being made at this moment.")
    try:
        outside = exchange()
        issued = stored_quotes.issue(
            swap,
            slippage_bps=slippage_bps,
            account_id=account.pk,
            venues=outside.venues,
            prices=outside.prices,
        )
    except RoutingError as error:
        sentence = as_sentence(error)
        if error.retryable:
            raise _unavailable(error.code, sentence) from error
        raise Problem(422, error.code, sentence) from error
    finally:
        _room.release()
    return {
        "quoteId": str(issued.id),
        "tokenIn": swap.token_in.symbol,
        "tokenOut": swap.token_out.symbol,
        "amount": from_base(swap.amount_in_base, swap.token_in),
        "slippageBps": slippage_bps,
        **issued.document,
        "createdAt": rfc3339(issued.created_at),
        "expiresAt": rfc3339(issued.expires_at),
    }


def _unavailable(code: str, sentence: str) -> Problem:
    return Problem(503, code, sentence, retryable=True, headers={"Retry-After": str(RETRY_AFTER_S)})
