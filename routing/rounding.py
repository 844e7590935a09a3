"""The units of rates, and the division that rounds up."""

from typing import Final

PPM: Final = 10**6
BPS: Final = 10**4


def ceil_div(numerator: int, denominator: int) -> int:
    """Division that rounds up; both non-negative, the denominator above 0."""
    return -(-numerator // denominator)
