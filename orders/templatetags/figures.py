"""How templates show figures: lengths of time for a glance, whole tokens, grouped thousands."""

from uuid import UUID

from django import template

from orders.operations import Concern
from routing.tokens import TOKENS, from_base

register = template.Library()

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@register.filter
def length(seconds: float) -> str:
    """`12 s`, `3 min 20 s`, `2 h 5 min`, `1 d 3 h`: the two largest units, and none that is 0."""
    rest, words = max(0, int(seconds)), []
    for unit_s, unit in UNITS:
        count, rest = divmod(rest, unit_s)
        words.append(f"{count} {unit}" if count else "")
    first = next((place for place, word in enumerate(words) if word), len(words) - 1)
    return " ".join(word for word in words[first : first + 2] if word) or "0 s"


@register.filter
def took(seconds: float) -> str:
    """How long something quick took: `340 ms`, `2.41 s`, `38.2 s`; from two minutes on as `length`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 120 else length(seconds)


@register.filter
def short(order_id: UUID) -> str:
    """`…1c7d0e2f`: the end tells orders apart, since ids begin with the time."""
    return f"…{str(order_id)[-8:]}"


@register.filter
def grouped(count: int) -> str:
    """`12,345`"""
    return f"{count:,}"


@register.filter
def share(rate: float | None) -> str:
    """`2.5 %`; nothing for nothing."""
    return "–" if rate is None else f"{rate:.1%}".replace("%", " %")


@register.filter
def swap(concern: Concern) -> str:
    """`1.5 SOL → USDC`. A token that isn't listed any more has unknown decimals, so its base units are shown."""
    token = TOKENS.get(concern.token_in)
    amount = (
        f"{from_base(int(concern.amount_in_base), token)} {concern.token_in}"
        if token
        else f"{concern.amount_in_base} base units of {concern.token_in}"
    )
    return f"{amount} → {concern.token_out}"


@register.filter
def late(seconds: float) -> str:
    """How long ago it was due, where `seconds` says how soon it is."""
    return length(-seconds)
