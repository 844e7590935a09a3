"""`manage.py audit`, run as somebody does."""

import io
from unittest.mock import patch

from django.core.management import call_command

from orders.exchange import TradingDesk


def run_command(desk: TradingDesk, *arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with patch("orders.management.commands.audit.trading_desk", lambda: desk):
        try:
            call_command("audit", *arguments, stdout=out)
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()
