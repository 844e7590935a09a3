"""How templates show figures: lengths of time for a glance, whole tokens, grouped thousands."""

from datetime import timedelta
from uuid import UUID

from django import template

from orders import figures
from orders.operations import Concern

register = template.Library()


@register.filter
def length(seconds: float) -> str:
    """In whole seconds: `0 s`, `12 s`, and from a minute on as `figures.span`."""
    whole_s = max(0, int(seconds))
    return f"{whole_s} s" if whole_s < 60 else figures.span(timedelta(seconds=whole_s))


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
    """`1.5 SOL → USDC`."""
    return f"{figures.amount(concern.amount_in_base, concern.token_in)} → {concern.token_out}"


@register.filter
def late(seconds: float) -> str:
    """How long ago it was due, where `seconds` says how soon it is."""
    return length(-seconds)
