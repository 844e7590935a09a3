import json
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest

from routing.dlmm import DlmmPool, price_q64
from routing.pool import MAX_U64
from routing.tokens import SOL, USDC
from tests.routing.dlmm_lab import NOW_S, dlmm_pool


def test_reserves_are_what_all_bins_hold() -> None:
    pool = dlmm_pool({-6: (0, 7), 0: (20, 30), 1: (500, 0), 9: (1_000, 0)})

    assert (pool.reserve_base(SOL), pool.reserve_base(USDC)) == (1_520, 37)


def test_a_push_walks_the_bins_without_a_fee() -> None:
    pool = dlmm_pool({0: (40, 1_000_000), -1: (0, 1_000_000), -2: (0, 1_000_000), 1: (9, 0)})
    emptied = [ceil(10**6 / Fraction(price_q64(10, bin_id), 2**64)) for bin_id in (0, -1)]

    pushed = pool.pushed(sum(emptied) + 500_000)

    paid = floor(500_000 * Fraction(price_q64(10, -2), 2**64))
    assert pushed.active_id == -2
    assert pushed.bins_x_base == (500_000, emptied[1], emptied[0] + 40, 9)
    assert pushed.bins_y_base == (1_000_000 - paid, 0, 0, 0)
    assert (pushed.index_reference, pushed.volatility_accumulator) == (0, 0)


def test_a_push_out_of_the_pool_pays_in_rounded_up() -> None:
    pool = dlmm_pool({0: (1_000, 7), 3: (1_000_000, 0), 4: (50, 0)})

    pushed = pool.pushed(-500_000)

    paid = ceil(499_000 * Fraction(price_q64(10, 3), 2**64))
    assert pushed.active_id == 3
    assert pushed.bins_x_base == (0, 0, 0, 501_000, 50)
    assert pushed.bins_y_base == (1_007, 0, 0, paid, 0)


def test_a_push_leaves_the_last_unit_of_the_outermost_bin() -> None:
    pool = dlmm_pool({0: (30, 40), -4: (0, 1_000), -5: (0, 0), 4: (1_000, 0), 5: (0, 0)})

    down, up = pool.pushed(MAX_U64), pool.pushed(-MAX_U64)

    assert (down.active_id, up.active_id) == (-4, 4)
    assert (down.reserve_base(USDC), up.reserve_base(SOL)) == (1, 1)
    assert down.bins_y_base[1] == up.bins_x_base[9] == 1
    assert down.exact_in(USDC, 10).amount_out_base == 9
    assert (down.pushed(10**6), up.pushed(-(10**6))) == (down, up)


@pytest.mark.parametrize("x_base", [0, 5, 10**9])
def test_a_push_that_nothing_can_answer_moves_nothing(x_base: int) -> None:
    pool = dlmm_pool({0: (5, 0), 3: (70, 0), -2: (0, 0)})

    assert pool.pushed(x_base) == pool


def test_a_state_as_json_names_its_tokens_and_spells_its_amounts() -> None:
    pool = dlmm_pool({-1: (0, 2**60), 0: (3, 4)})

    assert pool.as_json() == {
        "venue": "meteora",
        "address": "5rCf1DM8LjKTw4YqhnoLcngyZYeNnQqztScTogYHAS6",
        "tokenX": SOL.mint,
        "tokenY": USDC.mint,
        "slot": 7,
        "binStep": 10,
        "baseFactor": 10_000,
        "variableFeeControl": 40_000,
        "maxVolatilityAccumulator": 350_000,
        "filterPeriodS": 30,
        "decayPeriodS": 600,
        "reductionFactor": 5_000,
        "activeId": 0,
        "lowestId": -1,
        "binsXBase": ["0", "3"],
        "binsYBase": ["1152921504606846976", "4"],
        "indexReference": 0,
        "volatilityReference": 0,
        "volatilityAccumulator": 0,
        "lastUpdateS": 0,
        "nowS": NOW_S,
    }
    assert DlmmPool.from_json(json.loads(json.dumps(pool.as_json()))) == pool


@pytest.mark.parametrize(
    "changes", [{"active_id": 2}, {"active_id": -2}, {"bins_x_base": (1,)}, {"bins_y_base": ()}]
)
def test_a_pool_whose_bins_do_not_fit_its_ids_cannot_be_made(changes: dict[str, Any]) -> None:
    pool = dlmm_pool({-1: (0, 1), 0: (1, 1), 1: (1, 0)})

    with pytest.raises(ValueError, match="active bin"):
        replace(pool, **changes)
