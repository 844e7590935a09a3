"""`manage.py audit`: what it prints, and what it ends with."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management.base import CommandError

from orders.audit.checks import CHECKS
from orders.exchange import TradingDesk
from orders.models import Order
from routing.errors import Unavailable
from tests.audit.command import run_command
from tests.audit.damage import as_superuser

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_command_says_that_all_is_well(order: Order, desk: TradingDesk) -> None:
    code, text = run_command(desk)

    assert code == 0
    assert "5 orders, 18 events, 3 landed transactions" in text
    assert text.count("    ok  ") == len(CHECKS)


def test_the_command_lists_offenders_and_ends_with_1(order: Order, desk: TradingDesk) -> None:
    as_superuser("UPDATE orders_order SET last_seq = 9 WHERE id = %(id)s", id=order.id)

    code, text = run_command(desk)
    json_code, document = run_command(desk, "--json")

    assert code == json_code == 1
    assert f"{order.id}: is confirmed at #9" in text
    told: dict[str, Any] = json.loads(document)
    assert told["ok"] is False
    heads = next(check for check in told["checks"] if check["name"] == "heads")
    assert [offender["orderId"] for offender in heads["offenders"]] == [str(order.id)]


def test_the_command_ends_with_2_when_the_chain_is_away(order: Order, desk: TradingDesk) -> None:
    with (
        patch.object(desk.chain, "head", side_effect=Unavailable("RPC_ERROR", "it is down")),
        patch("orders.audit.chain.PAUSE_S", 0),
        pytest.raises(CommandError, match="The chain can't be read: it is down") as failure,
    ):
        run_command(desk)

    assert failure.value.returncode == 2
