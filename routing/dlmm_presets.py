"""What Meteora gives the DLMM pools of a bin step: numbers, and where they are from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Preset:
    """How a pool takes its fees; the fields are those of `routing.dlmm.DlmmPool`."""

    base_factor: int
    variable_fee_control: int
    max_volatility_accumulator: int
    filter_period_s: int
    decay_period_s: int
    reduction_factor: int = 5_000


PRESETS: Final[Mapping[int, Preset]] = MappingProxyType(
    {
        1: Preset(20_000, 2_000_000, 100_000, 10, 120),
        2: Preset(15_000, 500_000, 250_000, 10, 120),
        5: Preset(8_000, 120_000, 300_000, 30, 600),
        10: Preset(10_000, 40_000, 350_000, 30, 600),
        20: Preset(10_000, 20_000, 350_000, 30, 600),
        25: Preset(10_000, 15_000, 350_000, 30, 600),
        50: Preset(8_000, 10_000, 250_000, 120, 1_200),
        # Of a later list: a base fee of 0.80 %, and the rest from the nearest step before it.
        80: Preset(10_000, 7_500, 150_000, 300, 1_200),
        100: Preset(8_000, 7_500, 150_000, 300, 1_200),
    }
)
"""By bin step, from MeteoraAg/dlmm-sdk: `cli/src/instructions/initialize_existing_preset_binstep.rs` (6d1a8e4).

For 80: `cli/bin_step_fee_combo.csv` (4e84505), `cli/src/instructions/admin/initialize_preset_parameters2_from_csv.rs`.
"""
