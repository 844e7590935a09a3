"""How lengths of time, counts and amounts are shown for a glance."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from orders.lifecycle import Status
from orders.operations import Concern
from orders.templatetags import figures

ORDER_ID = UUID("01a1fd4c-ef08-7332-9646-bb96946cec96")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (7_500, "2 h 5 min"),
        (86_400 + 3 * 3_600 + 59, "1 d 3 h"),
        (400 * 86_400, "400 d"),
    ],
)
def test_a_length_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert figures.length(seconds) == shown
    assert figures.late(-seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 ms"), (0.3404, "340 ms"), (2.414, "2.41 s"), (38.21, "38.2 s"), (200, "3 min 20 s")],
)
def test_what_is_quick_is_shown_exactly(seconds: float, shown: str) -> None:
    assert figures.took(seconds) == shown


@pytest.mark.parametrize(
    ("filtered", "shown"),
    [
        (figures.grouped(1_234_567), "1,234,567"),
        (figures.share(None), "–"),
        (figures.share(0.0254), "2.5 %"),
        (figures.short(ORDER_ID), "…946cec96"),
    ],
)
def test_figures_are_short(filtered: str, shown: str) -> None:
    assert filtered == shown


@pytest.mark.parametrize(
    ("token", "shown"),
    [("SOL", "1.5 SOL → USDC"), ("GONE", "1,500,000,000 base units of GONE → USDC")],
)
def test_a_swap_is_told_in_whole_tokens_as_long_as_the_token_is_known(
    token: str, shown: str
) -> None:
    concern: Any = {"account": "alice", "attempt": 1, "seconds": 0.0, "code": "", "sentence": ""}

    assert (
        figures.swap(
            Concern(
                order_id=ORDER_ID,
                token_in=token,
                token_out="USDC",
                amount_in_base=Decimal(1_500_000_000),
                status=Status.FAILED,
                **concern,
            )
        )
        == shown
    )
