from hypothesis import given
from hypothesis import strategies as st

from routing.rounding import ceil_div


@given(st.integers(0, 2**128), st.integers(1, 2**64))
def test_ceil_div_is_the_least_number_that_covers(numerator: int, denominator: int) -> None:
    quotient = ceil_div(numerator, denominator)

    assert quotient * denominator >= numerator > (quotient - 1) * denominator
