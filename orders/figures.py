"""Figures as people read them. Amounts are exact unless a name says `rough`; those are rounded down."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal

from routing.tokens import TOKENS, from_base, to_base

ROUGH_DIGITS = 6
FEWEST_PLACES = 2


def grouped(decimal: str) -> str:
    """`1234567.89` → `1,234,567.89`; a minus becomes the typographic one."""
    sign = "−" if decimal.startswith("-") else ""
    whole, dot, fraction = decimal.removeprefix("-").partition(".")
    return f"{sign}{int(whole):,}{dot}{fraction}"


def signed(decimal: str) -> str:
    """The same with a plus before what is above 0."""
    return f"+{grouped(decimal)}" if Decimal(decimal) > 0 else grouped(decimal)


def amount(amount_base: Decimal | int, symbol: str) -> str:
    """`1,234.5 SOL`, exactly. A token that isn't listed any more has unknown decimals: base units, then."""
    token = TOKENS.get(symbol)
    if token is None:
        return f"{int(amount_base):,} base units of {symbol}"
    return f"{grouped(from_base(int(amount_base), token))} {symbol}"


def rough_amount(amount_base: Decimal | int, symbol: str) -> str:
    """The same for a sentence: six digits, or all of the whole ones, and two decimals if it has as many."""
    token = TOKENS.get(symbol)
    if token is None:
        return amount(amount_base, symbol)
    return f"{rough(Decimal(from_base(int(amount_base), token)))} {symbol}"


def rough(value: Decimal) -> str:
    """To six significant digits, rounded down: `208.759`, `12,345,678.91`, `0.00001234`."""
    places = max(FEWEST_PLACES, ROUGH_DIGITS - 1 - value.adjusted()) if value else 0
    cut = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN, context=Context(prec=60))
    whole, _, fraction = f"{cut:f}".partition(".")
    fraction = fraction.rstrip("0")
    return grouped(f"{whole}.{fraction:0<{FEWEST_PLACES}}" if fraction else whole)


def price(decimal: str) -> str:
    """Of a decimal string as the API tells it, to seven significant digits, half to even."""
    return grouped(f"{Context(prec=7).create_decimal(decimal).normalize():f}")


def base(decimal: str, symbol: str) -> int:
    """A decimal string as the API tells it, below 0 as well, in base units."""
    sign = -1 if decimal.startswith("-") else 1
    return sign * to_base(Decimal(decimal.removeprefix("-")), TOKENS[symbol])


def share(part: int, whole: int, *, places: int = 2) -> str:
    """A part of a whole in percent, half to even: `0.02 %`. Less than can be shown is `< 0.01 %`."""
    if not whole or not part:
        return "0 %"
    least = Decimal(1).scaleb(-places)
    percent = Decimal(100 * part) / Decimal(whole)
    if abs(percent) < least:
        return f"< {least} %"
    return f"{grouped(f'{percent.quantize(least).normalize():f}')} %"


def bps(basis_points: int) -> str:
    """50 → `0.5 %`."""
    return f"{(Decimal(basis_points) / 100).normalize():f} %"


def span(length: timedelta) -> str:
    """`at once`, `0.21 s`, `2.9 s`, `42 s`, `3 min`, `3 min 5 s`, `2 h 3 min`, `5 d 1 h`. Rounded down."""
    milliseconds = max(0, length // timedelta(milliseconds=1))
    seconds, minutes, hours = (
        milliseconds // 1000,
        milliseconds // 60_000,
        milliseconds // 3_600_000,
    )
    if milliseconds < 10:
        return "at once"
    if seconds < 1:
        return f"0.{milliseconds // 10:02d} s"
    if seconds < 10:
        return f"{seconds}.{milliseconds // 100 % 10} s"
    if minutes < 1:
        return f"{seconds} s"
    if hours < 1:
        return _two(minutes, "min", seconds % 60, "s")
    if hours < 24:
        return _two(hours, "h", minutes % 60, "min")
    return _two(hours // 24, "d", hours % 24, "h")


def _two(count: int, unit: str, rest: int, smaller: str) -> str:
    return f"{count} {unit} {rest} {smaller}" if rest else f"{count} {unit}"


def clock(at: datetime) -> str:
    """`07:41:00.123`."""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def short(name: str) -> str:
    """The ends of an id or a hash, enough to tell some apart."""
    return name if len(name) <= 12 else f"{name[:4]}…{name[-4:]}"


def day(at: datetime) -> str:
    """`21 Nov 2026, 07:41:00.123 UTC`."""
    return f"{at.astimezone(UTC):%-d %b %Y}, {clock(at)} UTC"
