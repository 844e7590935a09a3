"""The trading page: a ticket, the market, and the account's orders as they move."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from orders.people import account_of_person
from orders.stream import rfc3339
from routing.tokens import TOKENS


@require_safe
@login_required
def page(request: HttpRequest) -> HttpResponse:
    account = account_of_person(request.user)
    context: dict[str, Any] = {"section": "trade", "account": account}
    if account is None:
        return render(request, "pages/no_account.html", context)
    return render(request, "pages/trade.html", {**context, "settings": _settings()})


def _settings() -> dict[str, Any]:
    """What the page's modules need to know and no answer of the API tells."""
    return {
        "streamUrl": settings.STREAM_URL,
        "now": rfc3339(timezone.now()),
        "tokens": [
            {"symbol": token.symbol, "name": token.name, "decimals": token.decimals}
            for token in TOKENS.values()
        ],
    }
