"""What the program itself did: version 0.12.0 of MeteoraAg/dlmm-sdk (`commons/tests/artifacts`), run in LiteSVM."""

from dataclasses import replace

import pytest

from routing.pool import Fill
from routing.tokens import SOL, USDC, Token
from tests.routing.dlmm_lab import NOW_S, dlmm_pool

# A pair with gaps between its bins, and with a past.
WORN = replace(
    dlmm_pool(
        {
            -1906: (0, 3_000_000),
            -1903: (0, 650_000_007),
            -1902: (0, 1),
            -1901: (0, 800_000_000),
            -1900: (0, 712_345_678),
            -1899: (1_234_567_890, 345_678_901),
            -1898: (3_000_000_000, 0),
            -1896: (2_500_000_001, 0),
            -1895: (7, 0),
            -1890: (900_000_000, 0),
        },
        active_id=-1899,
    ),
    index_reference=-1902,
    volatility_reference=12_000,
    volatility_accumulator=95_000,
)
SWAPS = [
    # Idle seconds, token in, amount in, amount out, fee.
    (29, SOL, 8, 1, 1),
    (29, SOL, 1_000_000, 149_699, 1_071),
    (29, SOL, 2_304_000_000, 344_908_703, 2_466_571),
    (29, SOL, 5_000_000_001, 748_109_297, 5_273_152),
    (29, SOL, 12_345_678_901, 1_845_920_282, 12_805_804),
    (29, SOL, 16_700_000_000, 2_495_218_556, 17_244_426),
    (29, USDC, 2, 6, 1),
    (29, USDC, 500_000_000, 3_330_691_629, 547_117),
    (29, USDC, 1_000_000_001, 6_655_019_312, 1_137_332),
    (29, USDC, 1_147_000_000, 7_626_012_718, 1_380_926),
    (30, SOL, 5_000_000_001, 748_065_714, 5_564_265),
    (30, SOL, 16_700_000_000, 2_494_833_720, 19_822_677),
    (30, USDC, 1_147_000_000, 7_625_782_158, 1_415_790),
    (600, SOL, 2_304_000_000, 344_933_066, 2_304_000),
    (600, SOL, 16_700_000_000, 2_495_243_362, 17_078_240),
    (600, USDC, 1_147_000_000, 7_627_168_625, 1_206_136),
]


@pytest.mark.parametrize(("idle_s", "token_in", "amount_in", "amount_out", "fee"), SWAPS)
def test_a_swap_pays_what_the_program_paid(
    idle_s: int, token_in: Token, amount_in: int, amount_out: int, fee: int
) -> None:
    pool = replace(WORN, last_update_s=NOW_S - idle_s)

    assert pool.exact_in(token_in, amount_in) == Fill(amount_in, amount_out, fee)


@pytest.mark.parametrize(
    ("idle_s", "token_in", "amount_out", "amount_in", "fee"),
    [
        (29, SOL, 345_678_901, 2_309_144_939, 2_472_079),
        (29, SOL, 345_678_902, 2_309_144_947, 2_472_080),
        (29, SOL, 2_511_024_587, 16_806_064_487, 17_354_337),
        (29, USDC, 1, 2, 1),
        (29, USDC, 5_000_000_000, 750_932_633, 836_618),
        (600, SOL, 2_000_000_000, 13_378_529_177, 13_544_195),
        (600, USDC, 7_634_567_898, 1_148_120_362, 1_207_620),
    ],
)
def test_an_exact_amount_out_costs_what_the_program_took(
    idle_s: int, token_in: Token, amount_out: int, amount_in: int, fee: int
) -> None:
    fill = replace(WORN, last_update_s=NOW_S - idle_s).exact_out(token_in, amount_out)

    assert (fill.amount_in_base, fill.fee_base) == (amount_in, fee)
    assert fill.amount_out_base >= amount_out
